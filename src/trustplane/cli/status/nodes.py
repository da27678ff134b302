"""All nodes of a cluster with their states, including those a ClusterTrust only counts."""

from dataclasses import dataclass
from datetime import datetime

from trustplane.api.clustertrust import ClusterTrust, ProofResult
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.cli.options import time
from trustplane.clusterapi.machine_facts import node_facts
from trustplane.clusterapi.node_state import NodeFacts, RegistryVerdict, node_state, registry_verdict
from trustplane.fleet.reading import list_cluster_objects
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTERS, MACHINES, REGISTRIES


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
    results: tuple[tuple[ProofResult, RegistryVerdict], ...]  # pull results and their evaluation

    def as_json(self) -> Json:
        """Return the node for programs."""
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
                    "verdict": judgement.verdict,
                    "reason": result.reason,
                    "message": judgement.message,
                }
                for result, judgement in self.results
            ],
        }


async def node_rows(client: Client, trust: ClusterTrust) -> list[NodeRow]:
    """Read the current nodes of a cluster, sorted by name."""
    key = key_of(trust)
    hosts, nodes = await cluster_nodes(client, key)
    in_force = trust.status.in_force.digest if trust.status.in_force else ""
    return [node_row(node, in_force, hosts) for node in sorted(nodes, key=lambda node: node.node or node.machine)]


async def cluster_nodes(client: Client, key: Key) -> tuple[frozenset[str], list[NodeFacts]]:
    """Read the registry hosts that a cluster must trust, and the facts about its nodes."""
    cluster = await client.get(CLUSTERS, key.name, key.namespace)
    registries = await client.list(REGISTRIES)
    machines = [
        machine
        for machine in await list_cluster_objects(client, MACHINES, key)
        if not machine.metadata.deletion_timestamp
    ]
    hosts = frozenset(registry.spec.host for registry in registries if registry.selects(cluster.metadata.labels))
    return hosts, [node_facts(machine) for machine in machines]


def node_row(facts: NodeFacts, in_force: str, hosts: frozenset[str]) -> NodeRow:
    """Return the row of a node."""
    node_state, proof, access = node_state(facts, in_force, hosts), facts.valid_proof, facts.registry_access(hosts)
    return NodeRow(
        machine=facts.machine,
        node=facts.node,
        state=node_state.state,
        digest=facts.digest,
        method=facts.method,
        changed_at=facts.changed_at,
        proven_at=proof.at if proof else None,
        inspected_at=facts.inspection.at if facts.inspection else None,
        message=node_state.message,
        results=tuple(
            (result, registry_verdict(result, access[result.registry]))
            for result in proof.results
            if result.registry in hosts
        )
        if proof
        else (),
    )
