"""Trainer: the functions with which TFX trains and exports a model."""
