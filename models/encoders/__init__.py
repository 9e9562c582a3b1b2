"""Encoders: what makes one vector of a video's frames."""
