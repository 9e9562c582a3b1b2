"""Calls the API server of Kubeflow Pipelines."""
