"""Turns TanzuKubernetesClusters into Clusters of Cluster API."""
