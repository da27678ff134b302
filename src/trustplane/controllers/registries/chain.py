"""The chain served by a registry, and the entry of the service's list that anchors it."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

from gox509 import GoCertificate, MalformedError, Pool, verify
from trustplane.api.registry import MAX_CERTIFICATE, MAX_CHAIN, MAX_SUBJECT, Anchor, ServedCertificate
from trustplane.registry.address import Address
from trustplane.registry.dial import Served, dial
from trustplane.text import clean
from trustplane.trust.entries import TrustSet


@dataclass(frozen=True)
class DialResult:
    """The result of dialling a registry."""

    chain: tuple[ServedCertificate, ...] = ()
    anchor: Anchor | None = None
    count: int = 0  # number of certificates sent; the chain has the first of them
    failure: str = ""  # why no chain was served


def dial_registry(host: str, trust: TrustSet, now: datetime) -> DialResult:
    """Dial a registry, and verify its chain like a node with this trust set. Blocks for at most a few seconds."""
    address = Address.read(host)
    served = dial(address)
    if served.failure:
        return DialResult(failure=served.failure.message)
    anchor = _anchor(served, address, trust.for_host(host), now)
    return DialResult(chain=_chain(served), anchor=anchor, count=len(served.certificates))


def _chain(served: Served) -> tuple[ServedCertificate, ...]:
    chain = []
    for der in served.certificates[:MAX_CHAIN]:
        try:
            certificate = GoCertificate.read(der)
        except MalformedError:
            continue
        data = base64.b64encode(der).decode()
        ends = datetime.fromtimestamp(min(certificate.not_after.seconds, _LAST), UTC)
        chain.append(
            ServedCertificate(
                subject=clean(str(certificate.subject), MAX_SUBJECT),
                issuer=clean(str(certificate.issuer), MAX_SUBJECT),
                fingerprint=certificate.fingerprint,
                not_after=ends,
                data=data if len(data) <= MAX_CERTIFICATE else "",
            )
        )
    return tuple(chain)


_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def _anchor(served: Served, address: Address, trust: TrustSet, now: datetime) -> Anchor | None:
    """Return the anchor of the chain: a CA of the list, otherwise the server's own certificate if listed."""
    listed = {anchor.fingerprint: (entry.name, anchor) for entry in trust.entries for anchor in entry.certificates}
    leaf = served.certificates[0] if served.certificates else b""
    without_leaf = Pool.read(anchor.der for _, anchor in listed.values() if anchor.der != leaf)
    for pool in (without_leaf, Pool.read(anchor.der for _, anchor in listed.values())):
        match = listed.get(verify(served.certificates, pool, address.host, now).anchor)
        if match:
            name, anchor = match
            return Anchor(name=name, fingerprint=anchor.fingerprint, not_after=anchor.expires)
    return None
