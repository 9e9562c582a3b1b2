"""Layers and functions that models are made of, beside the encoders."""
