"""DriftDetector: whether new training data still look like those of the model that serves."""
