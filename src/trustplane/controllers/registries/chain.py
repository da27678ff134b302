"""What a registry serves, and which entry of the service's list makes nodes trust it."""

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
    """What came of dialling a registry."""

    chain: tuple[ServedCertificate, ...] = ()
    anchor: Anchor | None = None
    count: int = 0  # certificates that it sends; the chain has the first of them
    failure: str = ""  # why nothing was served


def dial_registry(host: str, trust: TrustSet, now: datetime) -> DialResult:
    """Dial a registry, and judge what it serves as a node with this set would. It blocks for at most some seconds."""
    address = Address.read(host)
    served = dial(address)
    if served.failure:
        return DialResult(failure=served.failure.message)
    anchor = _anchor(served, address, trust.serving(host), now)
    return DialResult(chain=_chain(served), anchor=anchor, count=len(served.certificates))


def _chain(served: Served) -> tuple[ServedCertificate, ...]:
    found = []
    for der in served.certificates[:MAX_CHAIN]:
        try:
            one = GoCertificate.read(der)
        except MalformedError:
            continue
        data = base64.b64encode(der).decode()
        ends = datetime.fromtimestamp(min(one.not_after.seconds, _LAST), UTC)
        found.append(
            ServedCertificate(
                subject=clean(str(one.subject), MAX_SUBJECT),
                issuer=clean(str(one.issuer), MAX_SUBJECT),
                fingerprint=one.fingerprint,
                not_after=ends,
                data=data if len(data) <= MAX_CERTIFICATE else "",
            )
        )
    return tuple(found)


_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def _anchor(served: Served, address: Address, trust: TrustSet, now: datetime) -> Anchor | None:
    """Return what anchors the chain: the server's own certificate only where no CA of the list does."""
    listed = {one.fingerprint: (entry.name, one) for entry in trust.entries for one in entry.certificates}
    leaf = served.certificates[0] if served.certificates else b""
    without = Pool.read(one.der for _, one in listed.values() if one.der != leaf)
    for pool in (without, Pool.read(one.der for _, one in listed.values())):
        found = listed.get(verify(served.certificates, pool, address.host, now).anchor)
        if found:
            name, one = found
            return Anchor(name=name, fingerprint=one.fingerprint, not_after=one.expires)
    return None
