"""KFP's REST API: server.py routes requests, state.py keeps resources, argo.py workflows, ui.py is the UI's server.

recorded/ has answers of the real API server, transport.py is HTTP.
"""
