"""`trustplane class`: boot-time trust for your own ClusterClass."""
