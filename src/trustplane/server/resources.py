"""The kinds that the hooks read and write."""

from trustplane.machines.resources import CLUSTERS, MACHINES, REGISTRIES

__all__ = ["CLUSTERS", "MACHINES", "REGISTRIES"]
