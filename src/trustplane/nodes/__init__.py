"""Access to the nodes of a cluster."""
