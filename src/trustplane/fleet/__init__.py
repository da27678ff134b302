"""The read side shared by controllers and commands: the observed state of clusters and nodes."""
