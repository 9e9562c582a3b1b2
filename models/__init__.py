"""Keras 3 models for video classification: layers, encoders, training, inputs. Knows nothing of TFX or Beam."""
