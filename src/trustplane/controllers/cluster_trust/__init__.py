"""Reports each cluster's trust on its ClusterTrust."""
