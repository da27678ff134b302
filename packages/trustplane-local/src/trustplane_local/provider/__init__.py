"""The local stack's infrastructure provider for Cluster API: its machines are podman containers."""

from trustplane_local.provider.definitions import crds
from trustplane_local.provider.service import restart_stopped, run

__all__ = ["crds", "restart_stopped", "run"]
