"""Beam steps on an engine: options, jobs, the check of workers before any work, and the workers' command."""
