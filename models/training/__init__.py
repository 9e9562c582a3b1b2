"""Training by the thesis' recipe: steps, checkpoints, scores, log."""
