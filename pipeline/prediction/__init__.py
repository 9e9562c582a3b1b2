"""Labels for raw records from a pushed model: what `yt8m predict` does."""
