"""What runs, in which order, where: settings, experiments, the pipeline, its runners and the command line."""
