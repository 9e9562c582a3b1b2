"""Transform: the graph and its small materialized outputs."""
