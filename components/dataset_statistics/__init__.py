"""DatasetStatistics: statistics of each split, as numbers, figures and a page."""
