"""Counts of the nodes that trust or refuse each registry. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from trustplane.api.clustertrust import ACCEPTED, NOT_TRUSTED, TRUSTED
from trustplane.clusterapi.node_state import NodeFacts, RegistryVerdict, registry_verdicts

MAX_SHOWN_NODES: Final = 5  # nodes in a message


@dataclass(frozen=True)
class RegistryTally:
    """Counts of one registry.

    Attributes:
        clusters: Number of clusters that must trust it.
        trusting_clusters: Number of those clusters with nodes, all of which trust it.
        nodes: Number of their nodes.
        trusting: Number of nodes with proven trust.
        refusing: Number of nodes with verdict NotTrusted.
        refusals: The first refusing nodes, each with its message.
        silences: The first nodes that are neither trusting nor refusing, each with its message.
        accepting: Number of accepted nodes: whether they verified its certificate is unknown.
    """

    clusters: int = 0
    trusting_clusters: int = 0
    nodes: int = 0
    trusting: int = 0
    refusing: int = 0
    refusing_messages: tuple[str, ...] = ()
    silent_messages: tuple[str, ...] = ()
    accepting: int = 0

    @property
    def reaching(self) -> int:
        """Number of nodes that reached the registry."""
        return self.trusting + self.refusing + self.accepting

    @property
    def silent(self) -> int:
        """Number of nodes that are neither trusting nor refusing."""
        return self.nodes - self.trusting - self.refusing


def proves_trust(judged: RegistryVerdict | None) -> bool:
    """Return whether a node's proof, and its way to the registry, show that the node trusts the registry."""
    return judged is not None and judged.verdict == TRUSTED


def tally_cluster(cluster: str, nodes: Iterable[NodeFacts], hosts: Collection[str]) -> dict[str, RegistryTally]:
    """Return the tallies of one cluster, by registry host.

    Args:
        cluster: Its name in messages.
        nodes: Facts of its nodes.
        hosts: Registries that it must trust.
    """
    verdicts = [(facts, _judgements(facts, hosts)) for facts in nodes]
    return {host: _tally(cluster, [(facts, by_host.get(host)) for facts, by_host in verdicts]) for host in hosts}


def unreadable_tally(cluster: str, nodes: int) -> RegistryTally:
    """Return the tally of a cluster with an unreadable record; it counts at least one silent node."""
    message = f"{cluster}: its records are unreadable, see its ClusterTrust"
    return RegistryTally(clusters=1, nodes=max(1, nodes), silent_messages=(message,))


def sum_tallies(tallies: Iterable[RegistryTally]) -> RegistryTally:
    """Return the sum of tallies, with the messages of the first nodes."""
    parts = list(tallies)
    refusals = islice((message for tally in parts for message in tally.refusing_messages), MAX_SHOWN_NODES)
    silences = islice((message for tally in parts for message in tally.silent_messages), MAX_SHOWN_NODES)
    return RegistryTally(
        clusters=sum(tally.clusters for tally in parts),
        trusting_clusters=sum(tally.trusting_clusters for tally in parts),
        nodes=sum(tally.nodes for tally in parts),
        trusting=sum(tally.trusting for tally in parts),
        refusing=sum(tally.refusing for tally in parts),
        refusing_messages=tuple(refusals),
        silent_messages=tuple(silences),
        accepting=sum(tally.accepting for tally in parts),
    )


def _judgements(facts: NodeFacts, hosts: Collection[str]) -> Mapping[str, RegistryVerdict]:
    return {judged.registry: judged for judged in registry_verdicts(facts, hosts)}


def _tally(cluster: str, nodes: Sequence[tuple[NodeFacts, RegistryVerdict | None]]) -> RegistryTally:
    others = [(facts, judged) for facts, judged in nodes if not proves_trust(judged)]
    refusing = [(facts, judged) for facts, judged in others if judged is not None and judged.verdict == NOT_TRUSTED]
    silent = [(facts, judged) for facts, judged in others if judged is None or judged.verdict != NOT_TRUSTED]
    return RegistryTally(
        clusters=1,
        trusting_clusters=int(bool(nodes) and not others),
        nodes=len(nodes),
        trusting=len(nodes) - len(others),
        refusing=len(refusing),
        refusing_messages=tuple(_describe(cluster, *node) for node in refusing[:MAX_SHOWN_NODES]),
        silent_messages=tuple(_describe(cluster, *node) for node in silent[:MAX_SHOWN_NODES]),
        accepting=sum(judged is not None and judged.verdict == ACCEPTED for _, judged in silent),
    )


def _describe(cluster: str, facts: NodeFacts, judged: RegistryVerdict | None) -> str:
    return f"{facts.node or facts.machine} of {cluster}: {judged.sentence if judged else 'no proof yet'}"
