"""How a changed set gets to machines: the strategy for updates in place, and when it is put back."""

from datetime import UTC, datetime

from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca, secret_name

from trustplane.api.annotations import ROLLOUT
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.conditions import TRUE, TRUST_CURRENT
from trustplane.api.meta import condition


def _is_current(tkc: TanzuKubernetesCluster) -> bool:
    found = condition([*tkc.status.conditions], TRUST_CURRENT)
    return found is not None and found.status == TRUE


def _held(cluster: Cluster) -> str:
    """Return the name of the Secret that the control plane keeps; empty where it has that of all machines."""
    return str((cluster.control_plane_override("trust") or {}).get("secretName", ""))


async def test_a_control_plane_below_three_keeps_its_set_while_the_pools_are_not_done(
    supervisor: Supervisor,
) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running():
        await supervisor.configure(a)
        await supervisor.make("c")
        async with supervisor.following("c"):
            first = secret_name(await supervisor.trusting("c", "a"))
            await supervisor.tkc("c", _is_current)

        await supervisor.configure(a, b)
        await supervisor.annotate("c", update_requested_at=datetime.now(UTC).isoformat())
        taken = await supervisor.trusting("c", "a", "b")
        assert (_held(taken), taken.metadata.annotations[ROLLOUT]) == (first, "InPlace")

        await supervisor.update_workers("c", 1)
        await supervisor.play("c", up_to_date=False)
        await supervisor.label("c", "seen", "again")
        halfway = await supervisor.cluster("c", lambda found: found.metadata.labels.get("seen") == "again")
        assert _held(halfway) == first  # what follows is told by test_small_control_plane
