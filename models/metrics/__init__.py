"""Streaming metrics of multi-label classification in NumPy, shared by search, evaluation and prediction."""
