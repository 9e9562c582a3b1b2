"""The pipeline on open-source Kubeflow Pipelines v2: one package, and what its containers run."""
