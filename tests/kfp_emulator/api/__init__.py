"""The REST API of Kubeflow Pipelines: server.py routes requests, state.py keeps resources, transport.py is HTTP."""
