"""Every node of a cluster with its state, also those that a ClusterTrust only counts."""

from dataclasses import dataclass
from datetime import datetime

from trustplane.api.clustertrust import ClusterTrust, ProofResult
from trustplane.api.meta import Json
from trustplane.cli.options import time
from trustplane.clusterapi.machine_facts import facts
from trustplane.controllers.reading import list_of
from trustplane.controllers.resources import CLUSTERS, MACHINES, REGISTRIES
from trustplane.kube.client import Client
from trustplane.kube.resource import Key, key_of
from trustplane.trust.standing import Judgement, NodeFacts, judge, standing


@dataclass(frozen=True, kw_only=True)
class NodeRow:
    """A node."""

    machine: str
    node: str
    state: str
    digest: str
    method: str
    changed_at: datetime
    proven_at: datetime | None
    inspected_at: datetime | None
    message: str
    results: tuple[tuple[ProofResult, Judgement], ...]  # what the kubelet said, and what that comes to

    def as_json(self) -> Json:
        """Return the node for scripts."""
        return {
            "machine": self.machine,
            "node": self.node,
            "state": self.state,
            "digest": self.digest,
            "method": self.method,
            "changedAt": time(self.changed_at),
            "provenAt": time(self.proven_at),
            "inspectedAt": time(self.inspected_at),
            "message": self.message,
            "results": [
                {
                    "registry": result.registry,
                    "verdict": judged.verdict,
                    "reason": result.reason,
                    "message": judged.message,
                }
                for result, judged in self.results
            ],
        }


async def node_rows(client: Client, trust: ClusterTrust) -> list[NodeRow]:
    """Read the nodes of a cluster as they are now, by name."""
    key = key_of(trust)
    hosts, nodes = await cluster_nodes(client, key)
    in_force = trust.status.in_force.digest if trust.status.in_force else ""
    return [row(one, in_force, hosts) for one in sorted(nodes, key=lambda one: one.node or one.machine)]


async def cluster_nodes(client: Client, key: Key) -> tuple[frozenset[str], list[NodeFacts]]:
    """Read the registries that a cluster is to trust, and what is known of its nodes."""
    cluster = await client.get(CLUSTERS, key.name, key.namespace)
    registries = await client.list(REGISTRIES)
    machines = [one for one in await list_of(client, MACHINES, key) if not one.metadata.deletion_timestamp]
    hosts = frozenset(one.spec.host for one in registries if one.selects(cluster.metadata.labels))
    return hosts, [facts(one) for one in machines]


def row(facts: NodeFacts, in_force: str, hosts: frozenset[str]) -> NodeRow:
    """Return a node as it is shown."""
    found, proof, access = standing(facts, in_force, hosts), facts.valid_proof, facts.access(hosts)
    return NodeRow(
        machine=facts.machine,
        node=facts.node,
        state=found.state,
        digest=facts.digest,
        method=facts.method,
        changed_at=facts.changed_at,
        proven_at=proof.at if proof else None,
        inspected_at=facts.inspection.at if facts.inspection else None,
        message=found.message,
        results=tuple((one, judge(one, access[one.registry])) for one in proof.results if one.registry in hosts)
        if proof
        else (),
    )
