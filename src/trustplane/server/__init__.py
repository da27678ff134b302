"""HTTPS servers of ours: Cluster API's runtime hooks, health and metrics."""
