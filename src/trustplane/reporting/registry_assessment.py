"""Assessment of a registry by its served chain and a cluster's sets; it decides between causes of a message. Pure."""

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
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.trust.entries import EMPTY_SET, TrustSet

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
class RegistryAssessment:
    """The manager's knowledge of one registry.

    Attributes:
        evidence: Evidence for or against causes.
        remedy: The CA that fixes the pull, by fingerprint if known; empty without knowledge of the registry.
        is_trusted: Whether nodes with the set in force trust its chain; None if unknown.
    """

    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    is_trusted: bool | None = None


def assess_registry(
    host: str, registry: Registry | None, sets: TrustSets, service: TrustSet, now: datetime
) -> RegistryAssessment:
    """Check the chain that a registry served last against a cluster's sets.

    Args:
        host: The registry, as in image references.
        registry: Its Registry, if one exists.
        sets: Of the cluster.
        service: The service's list, which may differ from the desired set of a cluster with its own list.
        now: The time.
    """
    served = served_chain(registry)
    if registry is None or not served:
        why = "the management cluster has not reached the registry" if registry else "create a Registry for it"
        return RegistryAssessment(remedy=f"The CA of {host} is unknown: {why}")
    verdict = verify_chain(served, sets.in_force or EMPTY_SET, host, now)
    if verdict.trusted and sets.in_force is not None:
        text = f"the set in force, {short_digest(sets.digest)}, trusts the chain that {host} serves to the manager"
        remedy = f"The CA is already in force: {_describe_anchor(sets.in_force, verdict.anchor)}"
        return RegistryAssessment((Evidence(_SOURCE, text, rules_out=_TO_ADD),), remedy, is_trusted=True)
    for trust, where in ((sets.desired, "the cluster's list"), (service, "the service's list")):
        listed = verify_chain(served, trust or EMPTY_SET, host, now)
        if trust is not None and listed.trusted:
            remedy = f"The CA is in {where}, but not in force: {_describe_anchor(trust, listed.anchor)}"
            code = Code.TRUST_NOT_APPLIED if trust is sets.desired else Code.ISSUER_NOT_TRUSTED
            return RegistryAssessment(
                (Evidence(_SOURCE, remedy, points_to=frozenset({code})),), remedy, is_trusted=False
            )
    return RegistryAssessment(_rejection(verdict), _describe_unlisted(registry.status.chain), is_trusted=False)


def node_evidence(facts: NodeFacts | None, sets: TrustSets) -> tuple[Evidence, ...]:
    """Return evidence from the set on a node; applies if the set in force trusts the registry."""
    if facts is None or not facts.digest or not sets.digest:
        return ()
    if is_same_digest(facts.digest, sets.digest):
        text = f"the node has the set in force, {short_digest(facts.digest)}"
        return (Evidence(_SOURCE, text, rules_out=frozenset({Code.TRUST_NOT_APPLIED})),)
    text = f"the node has set {short_digest(facts.digest)}, but set {short_digest(sets.digest)} is in force"
    return (Evidence(_SOURCE, text, points_to=frozenset({Code.TRUST_NOT_APPLIED})),)


def served_chain(registry: Registry | None) -> list[bytes]:
    """Return the chain that a registry served last, in DER; empty if any certificate is missing."""
    chain = registry.status.chain if registry else []
    try:
        certificates = [base64.b64decode(certificate.data, validate=True) for certificate in chain]
    except ValueError:
        return []
    return certificates if all(certificates) else []


def verify_chain(served: Sequence[bytes], trust: TrustSet, host: str, now: datetime) -> Verdict:
    """Verify a chain in the same way as a node with this set."""
    pool = Pool.read(ca.der for entry in trust.for_host(host).entries for ca in entry.certificates)
    return verify(served, pool, host_name(host), now)


def host_name(host: str) -> str:
    """Return the name or address of `host:port`, without brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).strip("[]")


def find_registry(host: str, registries: Sequence[Registry]) -> Registry | None:
    """Return the Registry of a host as in image references, if one exists."""
    return next((registry for registry in registries if canonical_registry_host(registry) == host), None)


def canonical_registry_host(registry: Registry) -> str:
    """Return a Registry's host in the form that `registry_of` returns for its images."""
    host = registry.spec.host
    is_dotted = "." in host or ":" in host
    return registry_of(f"{host}/image") if is_dotted else host.lower()


def _rejection(verdict: Verdict) -> tuple[Evidence, ...]:
    if verdict.cause is None or verdict.cause is Cause.UNKNOWN:
        return ()
    text = f"the chain that the registry serves to the manager fails verification: {verdict.message}"
    return (Evidence(_SOURCE, text, points_to=frozenset({Code(verdict.cause)}), rules_out=_ON_NODE),)


def _describe_anchor(trust: TrustSet, fingerprint: str) -> str:
    name = next(entry.name for entry in trust.entries if fingerprint in entry.fingerprints)
    return f"entry {name}, SHA-256 {fingerprint}"


def _describe_unlisted(chain: Sequence[ServedCertificate]) -> str:
    last = chain[-1]
    if last.subject == last.issuer:
        ca = f"{last.subject}, SHA-256 {last.fingerprint}"
        return f"The registry serves the CA itself: compare it with the fingerprint from its owner: {ca}"
    return f"The fingerprint of the CA is unknown; its name is {last.issuer}"
