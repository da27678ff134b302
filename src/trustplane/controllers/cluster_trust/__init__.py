"""Controller of ClusterTrusts: report each cluster's trust."""
