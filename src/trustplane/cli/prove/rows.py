"""Verdicts of nodes about registries since a request for proof."""

from dataclasses import dataclass
from datetime import datetime

from trustplane.api.clustertrust import ACCEPTED, UNCLEAR
from trustplane.api.keys import Key
from trustplane.cli.status.nodes import cluster_nodes
from trustplane.clusterapi.node_state import NodeFacts, RegistryVerdict, registry_verdicts
from trustplane.kube.client import Client


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result for one node and one registry.

    Attributes:
        verdict: as in `RegistryVerdict`; empty without a result.
        is_waiting: whether a result may still arrive.
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
        """The result as one line."""
        result = f"{self.verdict or 'no result'} {self.message}".strip()
        return f"{self.cluster}: {self.node}: {self.registry}: {result}".lstrip("/: ")


async def read_rows(client: Client, key: Key, requested_at: datetime, registry: str) -> list[Row]:
    """Read the results of a cluster's nodes since the request, for one registry; empty: for all."""
    hosts, nodes = await cluster_nodes(client, key)
    selected = sorted(host for host in hosts if registry in ("", host))
    is_inspected = any(node.inspection for node in nodes)  # otherwise SSH access is not configured
    return [
        _row(key, node, host, requested_at, is_inspected=is_inspected)
        for node in sorted(nodes, key=_name)
        for host in selected
    ]


def _name(facts: NodeFacts) -> str:
    return facts.node or facts.machine


def _row(key: Key, facts: NodeFacts, host: str, requested_at: datetime, *, is_inspected: bool) -> Row:
    proof = facts.valid_proof
    result = next((item for item in proof.results if item.registry == host), None) if proof else None
    at = (result.at or proof.at) if proof and result else None
    if result is None or at is None or at < requested_at:
        return Row(
            cluster=key,
            node=_name(facts),
            registry=host,
            message=facts.unreachable_reason or ("" if facts.node else "it is being created"),
            is_waiting=not facts.unreachable_reason,
        )
    judgement = next(iter(registry_verdicts(facts, {host})), RegistryVerdict(host, ""))
    inspected_at = facts.inspection.at if facts.inspection else None
    needs_inspection = is_inspected and (inspected_at is None or inspected_at < requested_at)
    return Row(
        cluster=key,
        node=_name(facts),
        registry=host,
        verdict=judgement.verdict,
        pulled=result.pulled,
        at=at,
        message=judgement.message,
        is_waiting=needs_inspection and judgement.verdict in (ACCEPTED, UNCLEAR),
    )
