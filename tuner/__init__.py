"""Search spaces and the KerasTuner driver."""
