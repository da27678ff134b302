"""What fails soon, or will where a pod starts next: images of untrusted registries, and certificates that end. Pure."""

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
from trustplane.reporting.registry_assessment import registry_host
from trustplane.trust.entries import SHORT

NOTICE: Final = timedelta(days=30)
_SHOWN: Final = 5
_SUCCEED: Final = "add the CA's successor to the list, have clusters take it, then have certificates issued by it"


class Kind(enum.StrEnum):
    """What is at risk; the worst first. Also the reasons of condition AtRisk."""

    NOT_TRUSTED = "NotTrusted"  # images come from a registry that the nodes do not trust
    EXPIRES = "Expires"  # a served certificate ends
    CA_EXPIRES = "CAExpires"  # a trusted one does
    LEAF_TRUSTED = "LeafTrusted"  # the server's certificate is trusted in place of its CA: its renewal breaks pulls


@dataclass(frozen=True)
class Risk:
    """One thing that fails, or will.

    Attributes:
        kind: What.
        subject: The object that it is about, such as `cluster shop/web`.
        host: The registry; empty where it is about none.
        message: What happens, and why.
        next_step: What to do.
        at: When; None: as soon as a node pulls.
    """

    kind: Kind
    subject: str
    host: str
    message: str
    next_step: str
    at: datetime | None = None


def risks(trusts: Iterable[ClusterTrust], registries: Sequence[Registry], now: datetime) -> list[Risk]:
    """Return all that is at risk, the worst first."""
    found = dict.fromkeys(risk for trust in trusts for risk in of_cluster(trust, registries, now))
    found |= dict.fromkeys(risk for registry in registries for risk in of_registry(registry, now))
    return sorted(found, key=_rank)


def of_cluster(trust: ClusterTrust, registries: Sequence[Registry], now: datetime) -> list[Risk]:
    """Return what is at risk by what is known of one cluster."""
    return [*_of_images(trust), *_of_entries(trust, registries, now)]


def unknown(trusts: Iterable[ClusterTrust]) -> list[tuple[str, ImageSource]]:
    """Return the registries of images of which nobody knows whether nodes trust them, each with its cluster."""
    return [(_name(trust), one) for trust in trusts for one in trust.status.images if one.trust == UNKNOWN]


def condition(registry: Registry, trusts: Iterable[ClusterTrust], now: datetime) -> Condition:
    """Return condition AtRisk of a Registry, without times."""
    return judged(registry, risks(trusts, [registry], now))


def judged(registry: Registry, found: Iterable[Risk]) -> Condition:
    """Return condition AtRisk of a Registry; of the risks, those of others do not count."""
    host = registry_host(registry)
    ours = sorted({one for one in found if one.host == host}, key=_rank)
    if ours:
        shown = [f"{one.subject}: {one.message}" for one in ours[:_SHOWN]]
        more = [f"and {len(ours) - _SHOWN} more"] if len(ours) > _SHOWN else []
        return Condition(type=AT_RISK, status=TRUE, reason=str(ours[0].kind), message="; ".join([*shown, *more]))
    if not registry.status.chain:
        words = "It has not been reached yet, so nothing is known of its certificates"
        return Condition(type=AT_RISK, status=NOT_KNOWN, reason="NotReached", message=words)
    return Condition(type=AT_RISK, status=FALSE, reason="NoRisk", message="")


def _rank(one: Risk) -> tuple[int, float, str, str]:
    return list(Kind).index(one.kind), one.at.timestamp() if one.at else 0.0, one.subject, one.host


def _name(trust: ClusterTrust) -> str:
    return f"{trust.metadata.namespace}/{trust.metadata.name}"


def _of_images(trust: ClusterTrust) -> list[Risk]:
    return [
        Risk(
            Kind.NOT_TRUSTED,
            f"cluster {_name(trust)}",
            one.host,
            f"pods have images of {one.host}, such as {one.image}, and {one.message}",
            f"trustplane fetch-ca {one.host}",
        )
        for one in trust.status.images
        if one.trust == NOT_TRUSTED
    ]


def _of_entries(trust: ClusterTrust, registries: Sequence[Registry], now: datetime) -> Iterator[Risk]:
    """Look at the list of a cluster: entries that end, and servers' own certificates in place of their CA's."""
    desired = trust.status.desired
    if desired is None:
        return
    # What the service's list has is told once, not for every cluster that has it.
    subject = "the service's list" if desired.source == SERVICE else f"cluster {_name(trust)}"
    for entry in desired.entries:
        if entry.expires and entry.expires - now <= NOTICE:
            host = next((registry_host(one) for one in registries if _anchor(one) in entry.fingerprints), "")
            words = f"entry {entry.name} ({_short(entry.fingerprints)}) {_ends(entry.expires, now)}"
            yield Risk(Kind.CA_EXPIRES, subject, host, words, _SUCCEED, entry.expires)
    trusted = {one: entry.name for entry in desired.entries for one in entry.fingerprints}
    for registry in registries:
        chain = [one.fingerprint for one in registry.status.chain]
        cas = {*chain[1:], _anchor(registry)} - {*chain[:1], ""}
        if chain and chain[0] in trusted and not cas & trusted.keys():
            yield _leaf(subject, registry, trusted[chain[0]])


def of_registry(registry: Registry, now: datetime) -> Iterator[Risk]:
    """Return what is at risk by what a registry served last."""
    subject, host = f"registry {registry.metadata.name}", registry_host(registry)
    for number, one in enumerate(registry.status.chain):
        if one.not_after and one.not_after - now <= NOTICE:
            what = "its certificate" if number == 0 else "a certificate that it sends"
            words = f"{what}, {one.subject} ({one.fingerprint[:SHORT]}), {_ends(one.not_after, now)}"
            yield Risk(Kind.EXPIRES, subject, host, words, "have it issued again, by the same CA", one.not_after)
    anchor = registry.status.anchor
    sent = {one.fingerprint for one in registry.status.chain}
    if anchor and anchor.not_after and anchor.not_after - now <= NOTICE and anchor.fingerprint not in sent:
        words = f"the CA that nodes trust it by, {anchor.name} ({anchor.fingerprint[:SHORT]}), "
        yield Risk(Kind.CA_EXPIRES, subject, host, words + _ends(anchor.not_after, now), _SUCCEED, anchor.not_after)


def _leaf(subject: str, registry: Registry, entry: str) -> Risk:
    server = registry.status.chain[0]
    words = (
        f"entry {entry} is the certificate of {registry_host(registry)} itself ({server.fingerprint[:SHORT]}), not its "
        "CA's: pulls fail when it is renewed"
    )
    step = f"add the CA that signed it, {server.issuer}, with `trustplane fetch-ca {registry_host(registry)}`"
    return Risk(Kind.LEAF_TRUSTED, subject, registry_host(registry), words, step, server.not_after)


def _anchor(registry: Registry) -> str:
    return registry.status.anchor.fingerprint if registry.status.anchor else ""


def _short(fingerprints: Sequence[str]) -> str:
    return " ".join(one[:SHORT] for one in fingerprints)


def _ends(at: datetime, now: datetime) -> str:
    return f"{'has expired' if at <= now else 'expires'} on {at.date().isoformat()}"
