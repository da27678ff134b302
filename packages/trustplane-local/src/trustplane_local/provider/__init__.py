"""The infrastructure provider of the local stack: Cluster API machines that are podman containers."""

from trustplane_local.provider.definitions import provider_crds
from trustplane_local.provider.service import restart_stopped_machines, run_provider

__all__ = ["provider_crds", "restart_stopped_machines", "run_provider"]
