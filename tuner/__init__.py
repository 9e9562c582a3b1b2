"""Search spaces, and searches with KerasTuner."""
