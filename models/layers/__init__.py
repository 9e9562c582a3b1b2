"""Layers and functions of models, other than encoders."""
