"""Containers: pod.py asks for them, server.py is the process that starts them."""
