"""Compiles the pipeline to a package for Kubeflow Pipelines."""
