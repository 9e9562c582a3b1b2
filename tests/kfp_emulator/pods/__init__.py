"""Containers: pod.py requests them, server.py is the process that starts them."""
