"""What the manager knows of a registry, seen from one cluster: it decides where a kubelet's words do not. Pure."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gox509 import Cause, Pool, Verdict, verify
from trustplane.api.registry import Registry, ServedCertificate
from trustplane.clusterapi.node_state import NodeFacts, is_same_digest, short_digest
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.explanation import Evidence
from trustplane.reporting.cluster_trust import Sets
from trustplane.trust.entries import EMPTY, TrustSet

_SOURCE: Final = "management cluster"
_TO_ADD: Final = frozenset(
    {
        Code.ISSUER_NOT_TRUSTED,
        Code.SELF_SIGNED_SERVER,
        Code.MISSING_INTERMEDIATE,
        Code.CA_REKEYED,
        Code.CA_NOT_A_CA,
    }
)
_ON_NODE: Final = frozenset(
    {Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE, Code.CA_FILE_MALFORMED, Code.CA_FILE_UNREADABLE}
)


@dataclass(frozen=True)
class Knowledge:
    """What is known of one registry.

    Attributes:
        evidence: What rules causes out, or speaks for them.
        remedy: Which CA mends it, by fingerprint, as far as it is known; empty where nothing is.
        is_trusted: Whether the set in force makes nodes trust what it serves; None where that is not known.
    """

    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    is_trusted: bool | None = None


def knowledge(host: str, registry: Registry | None, sets: Sets, service: TrustSet, now: datetime) -> Knowledge:
    """Judge what a registry served last by a cluster's sets.

    Args:
        host: The registry, as images name it.
        registry: Its Registry, if somebody made one.
        sets: Of the cluster.
        service: The service's list, which a cluster with its own list may not have.
        now: The time.
    """
    served = served_by(registry)
    if registry is None or not served:
        why = "the management cluster has not reached it" if registry else "make a Registry for it"
        return Knowledge(remedy=f"Which CA signs for {host} is not known: {why}")
    found = judge(served, sets.in_force or EMPTY, host, now)
    if found.trusted and sets.in_force is not None:
        words = f"set {short_digest(sets.digest)}, in force, trusts what {host} serves to the manager"
        remedy = f"The CA is in force already: {_named(sets.in_force, found.anchor)}"
        return Knowledge((Evidence(_SOURCE, words, rules_out=_TO_ADD),), remedy, is_trusted=True)
    for trust, where in ((sets.desired, "the list of the cluster"), (service, "the service's list")):
        wanted = judge(served, trust or EMPTY, host, now)
        if trust is not None and wanted.trusted:
            remedy = f"The CA is in {where}, and not in force: {_named(trust, wanted.anchor)}"
            held = frozenset({Code.TRUST_NOT_APPLIED if trust is sets.desired else Code.ISSUER_NOT_TRUSTED})
            return Knowledge((Evidence(_SOURCE, remedy, points_to=held),), remedy, is_trusted=False)
    return Knowledge(_refused(found), _unlisted(registry.status.chain), is_trusted=False)


def on_node(facts: NodeFacts | None, sets: Sets) -> tuple[Evidence, ...]:
    """Say what the set on a node rules out, where the set in force would trust the registry."""
    if facts is None or not facts.digest or not sets.digest:
        return ()
    if is_same_digest(facts.digest, sets.digest):
        words = f"the node has set {short_digest(facts.digest)}, the one in force"
        return (Evidence(_SOURCE, words, rules_out=frozenset({Code.TRUST_NOT_APPLIED})),)
    words = f"the node has set {short_digest(facts.digest)}, in force is {short_digest(sets.digest)}"
    return (Evidence(_SOURCE, words, points_to=frozenset({Code.TRUST_NOT_APPLIED})),)


def served_by(registry: Registry | None) -> list[bytes]:
    """Return the chain that a registry served last, DER; empty where any of it is not known."""
    chain = registry.status.chain if registry else []
    try:
        found = [base64.b64decode(one.data, validate=True) for one in chain]
    except ValueError:
        return []
    return found if all(found) else []


def judge(served: Sequence[bytes], trust: TrustSet, host: str, now: datetime) -> Verdict:
    """Decide about a chain as a node with that set does."""
    pool = Pool.read(one.der for entry in trust.serving(host).entries for one in entry.certificates)
    return verify(served, pool, name_of(host), now)


def name_of(host: str) -> str:
    """Return the name or address of `host:port`, without brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).strip("[]")


def registry_named(host: str, registries: Sequence[Registry]) -> Registry | None:
    """Return the Registry of a host as images name it."""
    return next((one for one in registries if registry_host(one) == host), None)


def registry_host(registry: Registry) -> str:
    """Return a Registry's host as `registry_of` says it for its images."""
    host = registry.spec.host
    is_dotted = "." in host or ":" in host
    return registry_of(f"{host}/image") if is_dotted else host.lower()


def _refused(found: Verdict) -> tuple[Evidence, ...]:
    if found.cause is None or found.cause is Cause.UNKNOWN:
        return ()
    words = f"what it serves to the manager is refused: {found.message}"
    return (Evidence(_SOURCE, words, points_to=frozenset({Code(found.cause)}), rules_out=_ON_NODE),)


def _named(trust: TrustSet, fingerprint: str) -> str:
    name = next(entry.name for entry in trust.entries if fingerprint in entry.fingerprints)
    return f"entry {name}, SHA-256 {fingerprint}"


def _unlisted(chain: Sequence[ServedCertificate]) -> str:
    last = chain[-1]
    if last.subject == last.issuer:
        return (
            f"The registry shows it itself, so compare it with its owner's: {last.subject}, SHA-256 {last.fingerprint}"
        )
    return f"The fingerprint of the CA is not known here; its name is {last.issuer}"
