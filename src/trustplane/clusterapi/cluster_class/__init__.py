"""The patch that adds boot-time trust to any ClusterClass. Pure."""
