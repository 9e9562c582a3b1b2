"""Keras 3 models for video classification: layers, encoders, inputs, training and metrics. Imports no TFX or Beam."""
