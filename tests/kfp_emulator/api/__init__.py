"""The REST API of Kubeflow Pipelines: server.py routes, state.py remembers, transport.py speaks HTTP."""
