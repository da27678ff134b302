"""Controller of TanzuKubernetesClusters: create and update their Clusters of Cluster API."""
