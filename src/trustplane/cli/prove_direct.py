"""Proof on any cluster whose kubeconfig is at hand: its nodes are asked from here, and nothing stays there."""

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

from trustplane.api.clustertrust import UNREADABLE, RegistryAccess
from trustplane.cli.prove_rows import Row
from trustplane.controllers.clustertrust_proof import result
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.kinds import NODES
from trustplane.kube.resource import Key
from trustplane.proof.prover import TIMEOUT, Proof, Target, prove
from trustplane.trust.places import is_host
from trustplane.trust.standing import judge

_UNSEEN: Final = "nobody goes onto the nodes here"
_SEE: Final = "See that their container runtime has no mirror, http:// or skip_verify for it"


async def prove_directly(
    kubeconfig: Path | None, registry: str, image: str, *, timeout: float, show: Callable[[Row], None]
) -> list[Row]:
    """Prove one registry on every node of a cluster.

    Args:
        kubeconfig: Of that cluster.
        registry: `host` or `host:port`.
        image: An image of it to pull for real; empty: one that does not exist is asked for.
        timeout: Seconds for each node, at most a minute.
        show: Called with each answer as it comes.

    Raises:
        UserError: That is no registry's host, or the image is another one's.
    """
    if not is_host(registry):
        raise UserError(f"{registry!r} is no host of a registry", next_step="Write host or host:port, without https://")
    if image and not image.startswith(f"{registry}/"):
        raise UserError(f"{image} is not an image of {registry}", next_step=f"Begin it with {registry}/")
    rows: list[Row] = []
    async with Client.open(kubeconfig) as client:
        nodes = sorted(one["metadata"]["name"] for one in await client.list(NODES))
        run = prove(client, nodes, [Target(registry, image or None)], timeout=min(timeout, TIMEOUT))
        async with aclosing(run) as proofs:
            async for one in proofs:
                row = _row(one)
                show(row)
                rows.append(row)
    return sorted(rows, key=lambda row: row.node)


def _row(one: Proof) -> Row:
    said = result(one.host, one.verdict)
    judged = judge(said, RegistryAccess(registry=one.host, verification=UNREADABLE, reason=_UNSEEN, next_step=_SEE))
    return Row(
        cluster=Key("", ""),
        node=one.node,
        registry=one.host,
        verdict=judged.verdict,
        pulled=said.pulled,
        at=one.began,
        message=judged.message,
    )
