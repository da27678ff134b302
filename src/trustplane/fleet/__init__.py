"""The shared read side: the observed state of clusters and nodes, for controllers and commands."""
