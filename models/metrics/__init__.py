"""Streaming metrics of multi-label classification in NumPy: the same in training, evaluation and prediction."""
