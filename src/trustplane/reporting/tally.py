"""What the nodes of clusters say of registries, counted. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from trustplane.api.clustertrust import ACCEPTED, NOT_TRUSTED, TRUSTED
from trustplane.clusterapi.node_state import NodeFacts, RegistryVerdict, registry_verdicts

SHOWN: Final = 5  # nodes in a message


@dataclass(frozen=True)
class Tally:
    """Of one registry: how many nodes trust it, and who does not.

    Attributes:
        clusters: Clusters that are to trust it.
        trusting_clusters: Those of them that have nodes, all of which trust it.
        nodes: Their nodes.
        trusting: Nodes that do.
        refusing: Nodes that do not.
        refusals: The first of the nodes that do not, each with its words.
        silences: The first of the nodes that have proven neither.
        accepting: Nodes that accepted it, where nobody has seen whether they verified its certificate.
    """

    clusters: int = 0
    trusting_clusters: int = 0
    nodes: int = 0
    trusting: int = 0
    refusing: int = 0
    refusals: tuple[str, ...] = ()
    silences: tuple[str, ...] = ()
    accepting: int = 0

    @property
    def reaching(self) -> int:
        """Nodes that had an answer of it."""
        return self.trusting + self.refusing + self.accepting

    @property
    def silent(self) -> int:
        """Nodes that have proven neither."""
        return self.nodes - self.trusting - self.refusing


def is_trusting(judged: RegistryVerdict | None) -> bool:
    """Return whether a node's answer, and how it reaches the registry, prove that it trusts the registry."""
    return judged is not None and judged.verdict == TRUSTED


def of_cluster(cluster: str, nodes: Iterable[NodeFacts], hosts: Collection[str]) -> dict[str, Tally]:
    """Return what the nodes of one cluster say of each of those registries.

    Args:
        cluster: Its name in messages.
        nodes: What is known of its nodes.
        hosts: Of the registries that it is to trust.
    """
    answers = [(facts, _answers(facts, hosts)) for facts in nodes]
    return {host: _tally(cluster, [(facts, said.get(host)) for facts, said in answers]) for host in hosts}


def unreadable(cluster: str, nodes: int) -> Tally:
    """Return the tally of a cluster of which nothing can be read; it has at least that one silence."""
    words = f"{cluster}: what is recorded of it cannot be read, see its ClusterTrust"
    return Tally(clusters=1, nodes=max(1, nodes), silences=(words,))


def total(tallies: Iterable[Tally]) -> Tally:
    """Add tallies up; of the nodes, the first are named."""
    parts = list(tallies)
    refusals = islice((words for one in parts for words in one.refusals), SHOWN)
    silences = islice((words for one in parts for words in one.silences), SHOWN)
    return Tally(
        clusters=sum(one.clusters for one in parts),
        trusting_clusters=sum(one.trusting_clusters for one in parts),
        nodes=sum(one.nodes for one in parts),
        trusting=sum(one.trusting for one in parts),
        refusing=sum(one.refusing for one in parts),
        refusals=tuple(refusals),
        silences=tuple(silences),
        accepting=sum(one.accepting for one in parts),
    )


def _answers(facts: NodeFacts, hosts: Collection[str]) -> Mapping[str, RegistryVerdict]:
    return {judged.registry: judged for judged in registry_verdicts(facts, hosts)}


def _tally(cluster: str, nodes: Sequence[tuple[NodeFacts, RegistryVerdict | None]]) -> Tally:
    others = [one for one in nodes if not is_trusting(one[1])]
    refusing = [one for one in others if one[1] is not None and one[1].verdict == NOT_TRUSTED]
    silent = [one for one in others if one[1] is None or one[1].verdict != NOT_TRUSTED]
    return Tally(
        clusters=1,
        trusting_clusters=int(bool(nodes) and not others),
        nodes=len(nodes),
        trusting=len(nodes) - len(others),
        refusing=len(refusing),
        refusals=tuple(_named(cluster, *one) for one in refusing[:SHOWN]),
        silences=tuple(_named(cluster, *one) for one in silent[:SHOWN]),
        accepting=sum(judged is not None and judged.verdict == ACCEPTED for _, judged in silent),
    )


def _named(cluster: str, facts: NodeFacts, judged: RegistryVerdict | None) -> str:
    return f"{facts.node or facts.machine} of {cluster}: {judged.sentence if judged else 'no proof yet'}"
