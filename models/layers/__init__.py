"""Layers and functions that models use beside the encoders."""
