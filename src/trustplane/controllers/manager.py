"""All controllers of `trustplane manager`, put together."""

from trustplane.api.annotations import COMPONENT_LABEL
from trustplane.controllers.cluster_trust.controller import ClusterTrustReconciler
from trustplane.controllers.clusters.controller import TanzuKubernetesClusterReconciler
from trustplane.controllers.configuration import ConfigurationReconciler
from trustplane.controllers.images import ImageReconciler
from trustplane.controllers.proof.controller import ProofReconciler
from trustplane.controllers.pulls.controller import PullReconciler
from trustplane.controllers.registries.controller import RegistryReconciler
from trustplane.controllers.release import ReleaseReconciler
from trustplane.controllers.rollout.controller import RolloutReconciler
from trustplane.controllers.rollout.up_to_date import UpToDateReconciler
from trustplane.fleet.view import FleetView
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CONFIGURATIONS, NAMESPACES, RELEASES, SECRETS
from trustplane.kube.manager import Manager

MANAGER_COMPONENT = "trustplane.dev/manager"  # who reports events


async def ensure_manager_namespace(client: Client, namespace: str) -> None:
    """Make Trustplane's own namespace, which has the lease and the last good service list, where it is absent.

    Where it is there, as in an installation from `deploy/`, the right to make namespaces is not needed.
    """
    if await client.find(NAMESPACES, namespace) is not None:
        return
    try:
        await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    except AlreadyExistsError:
        return


def add_controllers(manager: Manager, client: Client, *, namespace: str) -> None:
    """Add the controllers of every kind to a manager that does not run yet."""
    recorder = Recorder(client, MANAGER_COMPONENT)
    secrets = manager.informer(SECRETS, labels=COMPONENT_LABEL)
    configurations = ConfigurationReconciler(
        client, manager.informer(CONFIGURATIONS), secrets, recorder, namespace=namespace
    )
    releases = ReleaseReconciler(client, manager.informer(RELEASES))
    clusters = TanzuKubernetesClusterReconciler(client, manager, recorder, namespace=namespace)
    view = FleetView(client, manager, namespace=namespace)
    trusts = ClusterTrustReconciler(client, view, recorder)
    proofs = ProofReconciler(client, view, recorder, namespace=namespace)
    registries = RegistryReconciler(client, view, recorder, namespace=namespace)
    rollouts = RolloutReconciler(client, view, recorder)
    up_to_date = UpToDateReconciler(client, view, rollouts.machines_being_written)
    rollouts.notify_on_write(up_to_date.wake)
    pulls = PullReconciler(client, view)
    images = ImageReconciler(client, view)
    reconcilers = (configurations, releases, clusters, trusts, proofs, rollouts, up_to_date, pulls, images)
    controllers = [one.controller() for one in reconcilers]
    for controller in (*controllers, *registries.controllers()):
        manager.add(controller)
