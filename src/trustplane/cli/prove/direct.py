"""Direct proof on any cluster with a kubeconfig: run probes from here, and leave nothing behind."""

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

from trustplane.api.clustertrust import UNREADABLE, RegistryAccess
from trustplane.api.keys import Key
from trustplane.cli.prove.rows import Row
from trustplane.clusterapi.node_state import registry_verdict
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.kinds import NODES
from trustplane.proof.prover import PROBE_SECONDS, ProbeTarget, Proof, prove_nodes
from trustplane.proof.result import record_verdict
from trustplane.trust.node_files import is_registry_host

_NOT_INSPECTED: Final = "a direct proof does not inspect nodes"
_NEXT_STEP: Final = "Check that the nodes' container runtime has no mirror, http:// or skip_verify for it"


async def prove_directly(
    kubeconfig: Path | None, registry: str, image: str, *, timeout: float, show: Callable[[Row], None]
) -> list[Row]:
    """Prove one registry on every node of a cluster.

    Args:
        kubeconfig: of the cluster.
        registry: `host` or `host:port`.
        image: an existing image of the registry to pull; empty: request an image that does not exist.
        timeout: seconds per node, at most a minute.
        show: called with each result as it arrives.

    Raises:
        UserError: `registry` is not a registry host, or the image belongs to another registry.
    """
    if not is_registry_host(registry):
        raise UserError(f"{registry!r} is not a registry host", next_step="Write host or host:port, without https://")
    if image and not image.startswith(f"{registry}/"):
        raise UserError(f"{image} is not an image of {registry}", next_step=f"Begin it with {registry}/")
    rows: list[Row] = []
    async with Client.open(kubeconfig) as client:
        nodes = sorted(node["metadata"]["name"] for node in await client.list(NODES))
        run = prove_nodes(client, nodes, [ProbeTarget(registry, image or None)], timeout=min(timeout, PROBE_SECONDS))
        async with aclosing(run) as proofs:
            async for proof in proofs:
                row = _row(proof)
                show(row)
                rows.append(row)
    return sorted(rows, key=lambda row: row.node)


def _row(proof: Proof) -> Row:
    pull = record_verdict(proof.host, proof.verdict)
    access = RegistryAccess(registry=proof.host, verification=UNREADABLE, reason=_NOT_INSPECTED, next_step=_NEXT_STEP)
    judgement = registry_verdict(pull, access)
    return Row(
        cluster=Key("", ""),
        node=proof.node,
        registry=proof.host,
        verdict=judgement.verdict,
        pulled=pull.pulled,
        at=proof.began,
        message=judgement.message,
    )
