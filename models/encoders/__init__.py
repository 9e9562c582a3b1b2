"""Encoders: each makes one vector of a video's frames."""
