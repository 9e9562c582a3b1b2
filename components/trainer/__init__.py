"""Trainer: what TFX calls to train and export a model."""
