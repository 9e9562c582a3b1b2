"""DatasetStatistics: what the videos of each split hold, as numbers, as figures and as a page."""
