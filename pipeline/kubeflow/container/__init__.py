"""Inside a container of Kubeflow Pipelines: one step of the pipeline."""
