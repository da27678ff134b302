"""Patches that add boot-time trust to any ClusterClass. Pure."""
