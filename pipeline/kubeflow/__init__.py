"""The pipeline on open-source Kubeflow Pipelines v2: compile a package, run its containers, call the API."""
