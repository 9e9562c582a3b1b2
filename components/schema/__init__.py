"""Curated schemas of the packed examples, one for each level."""
