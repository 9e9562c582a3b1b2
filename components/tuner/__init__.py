"""Tuner: searches the hyperparameters that the Trainer trains with."""
