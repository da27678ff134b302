"""What each node says of each registry, since it was asked."""

from dataclasses import dataclass
from datetime import datetime

from trustplane.api.clustertrust import ACCEPTED, UNCLEAR
from trustplane.cli.status_nodes import cluster_nodes
from trustplane.kube.client import Client
from trustplane.kube.resource import Key
from trustplane.trust.standing import Judgement, NodeFacts, judgements


@dataclass(frozen=True, kw_only=True)
class Row:
    """One node and one registry.

    Attributes:
        verdict: As in `Judgement`; empty while the node has not answered, or cannot.
        is_waiting: Whether an answer may still come.
    """

    cluster: Key
    node: str
    registry: str
    verdict: str = ""
    pulled: bool = False
    at: datetime | None = None
    message: str = ""
    is_waiting: bool = False

    @property
    def text(self) -> str:
        """One line for people."""
        said = f"{self.verdict or 'no answer'} {self.message}".strip()
        return f"{self.cluster}: {self.node}: {self.registry}: {said}".lstrip("/: ")


async def look(client: Client, key: Key, requested_at: datetime, registry: str) -> list[Row]:
    """Return what the nodes of a cluster have said since that time, of one registry or, without one, of all."""
    hosts, nodes = await cluster_nodes(client, key)
    wanted = sorted(one for one in hosts if registry in ("", one))
    are_seen = any(one.inspection for one in nodes)  # else nobody can go onto them
    return [
        _row(key, one, host, requested_at, are_seen=are_seen) for one in sorted(nodes, key=_name) for host in wanted
    ]


def _name(facts: NodeFacts) -> str:
    return facts.node or facts.machine


def _row(key: Key, facts: NodeFacts, host: str, requested_at: datetime, *, are_seen: bool) -> Row:
    proof = facts.valid_proof
    said = next((one for one in proof.results if one.registry == host), None) if proof else None
    at = (said.at or proof.at) if proof and said else None
    if said is None or at is None or at < requested_at:
        return Row(
            cluster=key,
            node=_name(facts),
            registry=host,
            message=facts.silence or ("" if facts.node else "it is being made"),
            is_waiting=not facts.silence,
        )
    judged = next(iter(judgements(facts, {host})), Judgement(host, ""))
    seen_at = facts.inspection.at if facts.inspection else None
    is_unseen = are_seen and (seen_at is None or seen_at < requested_at)
    return Row(
        cluster=key,
        node=_name(facts),
        registry=host,
        verdict=judged.verdict,
        pulled=said.pulled,
        at=at,
        message=judged.message,
        is_waiting=is_unseen and judged.verdict in (ACCEPTED, UNCLEAR),
    )
