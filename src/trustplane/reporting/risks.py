"""Risks: images from untrusted registries, and certificates that expire soon. Pure."""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trustplane.api.clustertrust import NOT_TRUSTED, SERVICE, UNKNOWN, ClusterTrust, ImageSource
from trustplane.api.conditions import FALSE, TRUE
from trustplane.api.conditions import UNKNOWN as NOT_KNOWN
from trustplane.api.meta import Condition
from trustplane.api.registry import AT_RISK, Registry
from trustplane.reporting.registry_assessment import canonical_registry_host
from trustplane.trust.entries import SHORT_DIGEST_LENGTH

EXPIRY_NOTICE: Final = timedelta(days=30)
_SHOWN: Final = 5
_SUCCEED: Final = "add the CA's successor to the list, update the clusters, then issue certificates with it"
_RENEW: Final = "renew it with the same CA"


class RiskKind(enum.StrEnum):
    """Kinds of risk, worst first; also the reasons of condition AtRisk."""

    NOT_TRUSTED = "NotTrusted"  # pods use images of a registry that their nodes do not trust
    EXPIRES = "Expires"  # a served certificate expires
    CA_EXPIRES = "CAExpires"  # a trusted CA expires
    LEAF_TRUSTED = "LeafTrusted"  # the list has the server's certificate instead of its CA: renewal breaks pulls


@dataclass(frozen=True)
class Risk:
    """A current or future failure of pulls.

    Attributes:
        kind: Its kind.
        subject: The object concerned, such as `cluster shop/web`.
        host: The registry; empty without one.
        message: The failure and its reason.
        next_step: The remediation.
        at: Time of the failure; None: the next pull.
    """

    kind: RiskKind
    subject: str
    host: str
    message: str
    next_step: str
    at: datetime | None = None


def list_risks(trusts: Iterable[ClusterTrust], registries: Sequence[Registry], now: datetime) -> list[Risk]:
    """Return all risks, worst first."""
    distinct = dict.fromkeys(risk for trust in trusts for risk in cluster_risks(trust, registries, now))
    distinct |= dict.fromkeys(risk for registry in registries for risk in registry_risks(registry, now))
    return sorted(distinct, key=_rank)


def cluster_risks(trust: ClusterTrust, registries: Sequence[Registry], now: datetime) -> list[Risk]:
    """Return the risks of one cluster, from its ClusterTrust."""
    return [*_of_images(trust), *_of_entries(trust, registries, now)]


def unknown_sources(trusts: Iterable[ClusterTrust]) -> list[tuple[str, ImageSource]]:
    """Return the image sources with unknown trust, each with its cluster."""
    return [(_name(trust), source) for trust in trusts for source in trust.status.images if source.trust == UNKNOWN]


def at_risk_condition(registry: Registry, trusts: Iterable[ClusterTrust], now: datetime) -> Condition:
    """Return condition AtRisk of a Registry, from all ClusterTrusts; it has no times."""
    return at_risk_condition_of(registry, list_risks(trusts, [registry], now))


def at_risk_condition_of(registry: Registry, risks: Iterable[Risk]) -> Condition:
    """Return condition AtRisk of a Registry; ignore the risks of other registries."""
    host = canonical_registry_host(registry)
    ranked = sorted({risk for risk in risks if risk.host == host}, key=_rank)
    if ranked:
        shown = [f"{risk.subject}: {risk.message}" for risk in ranked[:_SHOWN]]
        more = [f"and {len(ranked) - _SHOWN} more"] if len(ranked) > _SHOWN else []
        return Condition(type=AT_RISK, status=TRUE, reason=str(ranked[0].kind), message="; ".join([*shown, *more]))
    if not registry.status.chain:
        message = "The manager has not reached the registry yet, so its certificates are unknown"
        return Condition(type=AT_RISK, status=NOT_KNOWN, reason="NotReached", message=message)
    return Condition(type=AT_RISK, status=FALSE, reason="NoRisk", message="")


def _rank(risk: Risk) -> tuple[int, float, str, str]:
    return list(RiskKind).index(risk.kind), risk.at.timestamp() if risk.at else 0.0, risk.subject, risk.host


def _name(trust: ClusterTrust) -> str:
    return f"{trust.metadata.namespace}/{trust.metadata.name}"


def _of_images(trust: ClusterTrust) -> list[Risk]:
    return [
        Risk(
            RiskKind.NOT_TRUSTED,
            f"cluster {_name(trust)}",
            source.host,
            f"pods use images of {source.host}, such as {source.image}, and {source.message}",
            f"trustplane fetch-ca {source.host}",
        )
        for source in trust.status.images
        if source.trust == NOT_TRUSTED
    ]


def _of_entries(trust: ClusterTrust, registries: Sequence[Registry], now: datetime) -> Iterator[Risk]:
    """Return the risks of a cluster's list: expiring entries, and server certificates in place of their CAs."""
    desired = trust.status.desired
    if desired is None:
        return
    # Reports a risk of the service's list once instead of for every cluster.
    subject = "the service's list" if desired.source == SERVICE else f"cluster {_name(trust)}"
    for entry in desired.entries:
        if entry.expires and entry.expires - now <= EXPIRY_NOTICE:
            host = next(
                (canonical_registry_host(each) for each in registries if _anchor(each) in entry.fingerprints), ""
            )
            message = f"entry {entry.name} ({_short(entry.fingerprints)}) {_expires(entry.expires, now)}"
            yield Risk(RiskKind.CA_EXPIRES, subject, host, message, _SUCCEED, entry.expires)
    trusted = {fingerprint: entry.name for entry in desired.entries for fingerprint in entry.fingerprints}
    for registry in registries:
        chain = [certificate.fingerprint for certificate in registry.status.chain]
        cas = {*chain[1:], _anchor(registry)} - {*chain[:1], ""}
        if chain and chain[0] in trusted and not cas & trusted.keys():
            yield _leaf(subject, registry, trusted[chain[0]])


def registry_risks(registry: Registry, now: datetime) -> Iterator[Risk]:
    """Return the risks of a registry, from the chain that it served last."""
    subject, host = f"registry {registry.metadata.name}", canonical_registry_host(registry)
    for number, certificate in enumerate(registry.status.chain):
        end = certificate.not_after
        if end and end - now <= EXPIRY_NOTICE:
            role = "its certificate" if number == 0 else "a certificate of its chain"
            short = certificate.fingerprint[:SHORT_DIGEST_LENGTH]
            message = f"{role}, {certificate.subject} ({short}), {_expires(end, now)}"
            yield Risk(RiskKind.EXPIRES, subject, host, message, _RENEW, end)
    anchor = registry.status.anchor
    served = {certificate.fingerprint for certificate in registry.status.chain}
    if anchor and anchor.not_after and anchor.not_after - now <= EXPIRY_NOTICE and anchor.fingerprint not in served:
        ca = f"{anchor.name} ({anchor.fingerprint[:SHORT_DIGEST_LENGTH]})"
        message = f"its trust anchor on the nodes, {ca}, {_expires(anchor.not_after, now)}"
        yield Risk(RiskKind.CA_EXPIRES, subject, host, message, _SUCCEED, anchor.not_after)


def _leaf(subject: str, registry: Registry, entry: str) -> Risk:
    server = registry.status.chain[0]
    host = canonical_registry_host(registry)
    message = (
        f"entry {entry} is the server certificate of {host} ({server.fingerprint[:SHORT_DIGEST_LENGTH]}), not its CA: "
        "pulls fail after its renewal"
    )
    step = f"add the CA that signed it, {server.issuer}, with `trustplane fetch-ca {host}`"
    return Risk(RiskKind.LEAF_TRUSTED, subject, host, message, step, server.not_after)


def _anchor(registry: Registry) -> str:
    return registry.status.anchor.fingerprint if registry.status.anchor else ""


def _short(fingerprints: Sequence[str]) -> str:
    return " ".join(fingerprint[:SHORT_DIGEST_LENGTH] for fingerprint in fingerprints)


def _expires(at: datetime, now: datetime) -> str:
    return f"{'has expired' if at <= now else 'expires'} on {at.date().isoformat()}"
