"""TFX components and the module functions TFX calls; thin, they join TFX to the models and the tuner."""
