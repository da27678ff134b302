"""The infrastructure provider of the local stack: Cluster API machines that are podman containers."""

from trustplane_local.provider.definitions import crds
from trustplane_local.provider.service import restart_stopped, run

__all__ = ["crds", "restart_stopped", "run"]
