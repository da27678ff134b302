"""Certificate policies along a chain: RFC 5280, section 6.1, as amended by RFC 9618, with Go's defaults.

Nodes require no particular policy, so policies matter only if a certificate demands one (policy constraints).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from trustplane.certificates.verification.certificate import GoCertificate

ANY_POLICY = b"\x55\x1d\x20\x00"  # 2.5.29.32.0


@dataclass(eq=False)
class _Policy:
    """A node of the policy graph."""

    valid: bytes
    expected: list[bytes]
    parents: set["_Policy"] = field(default_factory=set)
    children: set["_Policy"] = field(default_factory=set)

    @classmethod
    def below(cls, valid: bytes, parents: Sequence["_Policy"]) -> "_Policy":
        node = cls(valid, [valid], set(parents))
        for parent in parents:
            parent.children.add(node)
        return node

    def detach(self) -> None:
        for parent in self.parents:
            parent.children.discard(self)
        for child in self.children:
            child.parents.discard(self)


class _Graph:
    """Policies by depth: the anchor's any-policy first, the current certificate's policies last."""

    def __init__(self) -> None:
        self._strata: list[dict[bytes, _Policy]] = [{ANY_POLICY: _Policy(ANY_POLICY, [ANY_POLICY])}]

    @property
    def leaves(self) -> dict[bytes, _Policy]:
        return self._strata[-1]

    def insert(self, node: _Policy) -> None:
        self.leaves[node.valid] = node

    def descend(self, policies: Sequence[bytes], *, any_policy: bool) -> None:
        """Add a certificate's policies: RFC 5280, section 6.1.3 (d)."""
        parents = self._strata[-1]
        expecting: dict[bytes, list[_Policy]] = {}
        for parent in parents.values():
            for expected in parent.expected:
                expecting.setdefault(expected, []).append(parent)
        self._strata.append({})
        for policy in policies:
            fallback = [parents[ANY_POLICY]] if ANY_POLICY in parents else []
            above = expecting.get(policy) or fallback
            if policy != ANY_POLICY and above:
                self.insert(_Policy.below(policy, above))
        if any_policy and ANY_POLICY in policies:
            for expected, above in expecting.items():
                if expected not in self.leaves:
                    self.insert(_Policy.below(expected, above))
        self.prune()

    def prune(self) -> None:
        """Drop inner nodes without children."""
        for stratum in reversed(self._strata[1:-1]):
            for node in [candidate for candidate in stratum.values() if not candidate.children]:
                node.detach()
                del stratum[node.valid]

    def map(self, mappings: Sequence[tuple[bytes, bytes]], *, allowed: bool) -> bool:
        """Apply policy mappings: section 6.1.4 (a) and (b). Return False if they are invalid."""
        targets: dict[bytes, list[bytes]] = {}
        for issuer, subject in mappings:
            if not allowed:
                removed = self.leaves.pop(issuer, None)
                if removed:
                    removed.detach()
            elif ANY_POLICY in {issuer, subject}:
                return False
            else:
                targets.setdefault(issuer, []).append(subject)
        self.prune()
        for issuer, subjects in targets.items():
            if issuer in self.leaves:
                self.leaves[issuer].expected = subjects
            elif ANY_POLICY in self.leaves:
                node = _Policy.below(issuer, [self.leaves[ANY_POLICY]])
                node.expected = subjects
                self.insert(node)
        return True

    def valid(self) -> Iterator[bytes]:
        """Yield the policies allowed by the whole chain."""
        for stratum in self._strata:
            for node in stratum.values():
                parent = next(iter(node.parents)) if len(node.parents) == 1 else None
                if node.valid != ANY_POLICY and parent and parent.valid == ANY_POLICY:
                    yield node.valid
        if ANY_POLICY in self.leaves:
            yield ANY_POLICY


@dataclass
class _Counters:
    """The number of further certificates before each rule applies."""

    explicit: int
    mapping: int
    any_policy: int

    def count(self, certificate: GoCertificate) -> None:
        """Count a certificate above the last one: section 6.1.4 (h) to (j)."""
        if not certificate.is_self_issued:
            self.explicit, self.mapping, self.any_policy = (
                max(count - 1, 0) for count in (self.explicit, self.mapping, self.any_policy)
            )
        self.explicit = _lower(self.explicit, certificate.extensions.require_explicit_policy)
        self.mapping = _lower(self.mapping, certificate.extensions.inhibit_policy_mapping)
        self.any_policy = _lower(self.any_policy, certificate.extensions.inhibit_any_policy)


def _lower(count: int, limit: int | None) -> int:
    return count if limit is None or limit < 0 else min(count, limit)


def policies_allow(chain: Sequence[GoCertificate]) -> bool:
    """Return whether a chain, leaf first, satisfies the policies that its own certificates demand."""
    length = len(chain) - 1
    if not length:
        return True
    counters = _Counters(length + 1, length + 1, length + 1)
    graph: _Graph | None = _Graph()
    for index in range(length - 1, -1, -1):
        certificate = chain[index]
        policies = certificate.extensions.policies
        graph = graph if policies else None
        if graph is None and not counters.explicit:
            return False
        if graph:
            any_policy = counters.any_policy > 0 or (index > 0 and certificate.is_self_issued)
            graph.descend(policies, any_policy=any_policy)
            mappings = certificate.extensions.policy_mappings if index else []
            if mappings and not graph.map(mappings, allowed=counters.mapping > 0):
                return False
        if index:
            counters.count(certificate)
    explicit = max(counters.explicit - 1, 0)
    if chain[0].extensions.require_explicit_policy == 0:
        explicit = 0
    return explicit > 0 or (graph is not None and next(graph.valid(), None) is not None)
