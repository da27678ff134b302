"""Scenarios of certificates: the served chain, and the trusted CAs."""

import ssl
import warnings
from collections.abc import Iterator

from oracle import drafts
from oracle.drafts import AIA, BASIC, CLIENT_AUTH, CONSTRAINTS, EKU, SAN
from oracle.encoding import dns, oid, sequence, time, tlv, uri
from oracle.keyring import ODD_SCHEMES
from oracle.server import Reply, answering

from laboratory.live.answers import always, public
from laboratory.live.scenario import Live, Site, owner, root, self_signed, trusted, whole

_PAST, _FUTURE = time("261120000000Z"), time("350101000000Z")
_CA_ISSUERS = "1.3.6.1.5.5.7.48.2"


def not_trusted(site: Site) -> Iterator[Live]:
    """The CA is in no trust list of the cluster."""
    truth = "issuer-not-trusted"
    pki = owner("unknown.lab.test")
    yield Live(
        name="unknown CA", truth=truth, address=site.https(pki, "unknown.lab.test", None, *whole(pki)), fix=root(pki)
    )
    pki = owner("unserved.lab.test")
    address = site.https(pki, "unserved.lab.test")
    yield Live(name="unknown CA, root not served", truth=truth, address=address)
    pki = owner("elsewhere.lab.test")
    address = site.https(pki, "elsewhere.lab.test")
    yield Live(name="CA in another cluster's set", truth=truth, address=address, known=(root(pki),), fix=root(pki))
    pki = owner("scoped.lab.test")
    address = site.https(pki, "scoped.lab.test")
    yield Live(
        name="CA for another registry only", truth=truth, address=address, trusted=(root(pki),), scope="other.lab.test"
    )
    pki = owner(site.address, "By address")
    yield Live(name="unknown CA, by address", truth=truth, address=site.https(pki, site.address, None, *whole(pki)))
    pki = self_signed("alone.lab.test")
    address = site.https(pki, "alone.lab.test", None, *pki.ders(pki.server))
    yield Live(name="self-signed server", truth="self-signed-server", address=address)


def proxied(site: Site) -> Iterator[Live]:
    """The node receives another chain than Trustplane."""
    host = "proxied.lab.test"
    ours = owner(host)
    address = site.differently(ours, owner(host, "Web Proxy CA"), host)
    yield Live(
        name="proxy that opens TLS", truth="issuer-not-trusted", address=address, trusted=(root(ours),), by_skopeo=False
    )
    host = "split.lab.test"
    ours = owner(host)
    address = site.differently(ours, self_signed(host), host)
    yield Live(
        name="split DNS, default server",
        truth="self-signed-server",
        address=address,
        trusted=(root(ours),),
        by_skopeo=False,
    )
    host = "splitname.lab.test"
    ours, other = owner(host), owner("other.lab.test", "Other root")
    address = site.differently(ours, other, host)
    yield Live(
        name="split DNS, another server",
        truth="name-mismatch",
        address=address,
        trusted=(root(ours), root(other)),
        by_skopeo=False,
    )


def chains(site: Site) -> Iterator[Live]:
    """The server sends too few certificates, or the trusted CA is not the current issuer."""
    truth = "missing-intermediate"
    pki = owner("shortened.lab.test")
    address = site.https(pki, "shortened.lab.test", None, *pki.ders(pki.server))
    known = pki.ders(pki.issuing)
    yield Live(
        name="intermediate not sent, known elsewhere",
        truth=truth,
        address=address,
        trusted=(root(pki),),
        known=known,
    )
    pki = owner("published.lab.test")
    issuer = Reply(200, {"Content-Type": "application/pkix-cert"}, pki.ders(pki.issuing)[0])
    port = site.running.enter_context(answering((site.address, 0), None, always(issuer)))
    place = sequence(oid(_CA_ISSUERS), uri(f"http://{site.address}:{port}/issuing.crt"))
    pki.server.put(AIA, sequence(place))
    address = site.https(pki, "published.lab.test", None, *pki.ders(pki.server))
    yield Live(name="intermediate not sent, published", truth=truth, address=address, trusted=(root(pki),))
    old, new = owner("rekeyed.lab.test", "Renewed root"), owner("rekeyed.lab.test", "Renewed root")
    address = site.https(new, "rekeyed.lab.test", None, *whole(new))
    yield Live(name="CA with a new key", truth="ca-rekeyed", address=address, trusted=(root(old),))
    pki = owner("nobasic.lab.test")
    pki.root.put(BASIC, drafts.basic(ca=False), critical=True)
    address = site.https(pki, "nobasic.lab.test")
    yield Live(name="trusted CA without CA:TRUE", truth="ca-not-a-ca", address=address, trusted=(root(pki),))


def times(site: Site) -> Iterator[Live]:
    """A certificate has expired, or is not valid yet."""
    expired = "certificate-expired"
    for part in ("server", "issuing", "root"):
        host = f"old{part}.lab.test"
        pki = owner(host)
        getattr(pki, part).not_after = _PAST
        yield trusted(site, f"{part} expired", expired, host, pki=pki)
    host = "future.lab.test"
    pki = owner(host)
    pki.server.not_before = _FUTURE
    yield trusted(site, "server not yet valid", "certificate-not-yet-valid", host, pki=pki)
    host = "renewedroot.lab.test"
    pki = owner(host)
    old = drafts.ca("renewedroot root", pki.root.key)
    old.not_after = _PAST
    yield Live(
        name="only the expired root trusted",
        truth=expired,
        address=site.https(pki, host, None, *whole(pki)),
        trusted=(old.der,),
    )


def names(site: Site) -> Iterator[Live]:
    """The certificate is for another host, or for another purpose."""
    mismatch = "name-mismatch"
    yield trusted(
        site, "certificate for another name", mismatch, "misnamed.lab.test", pki=owner("other.lab.test", "Another")
    )
    pki = owner("wild.lab.test")
    pki.server.put(SAN, sequence(dns("*.lab.test")))
    yield trusted(site, "wildcard for one level only", mismatch, "two.levels.lab.test", pki=pki)
    host = "legacy.lab.test"
    pki = owner(host)
    pki.server.drop(SAN)
    yield trusted(site, "certificate without names", "no-subject-alt-name", host, pki=pki)
    yield trusted(
        site, "address, and a certificate for names", "no-subject-alt-name", site.address, pki=owner("by.lab.test")
    )
    host = "clients.lab.test"
    pki = owner(host)
    pki.server.put(EKU, drafts.usages(CLIENT_AUTH))
    yield trusted(site, "certificate for clients", "wrong-key-usage", host, pki=pki)
    host = "constrained.lab.test"
    pki = owner(host)
    pki.root.put(CONSTRAINTS, sequence(tlv(0xA0, sequence(dns("example.com")))), critical=True)
    yield trusted(site, "CA for other names", "name-constraint", host, pki=pki)
    host = "toolong.lab.test"
    pki = owner(host)
    pki.root.put(BASIC, drafts.basic(ca=True, path_length=0), critical=True)
    yield trusted(site, "CA that allows no intermediate", "path-length", host, pki=pki)
    host = "sha1.lab.test"
    pki = owner(host)
    pki.server.scheme = ODD_SCHEMES[4]
    yield trusted(site, "SHA-1 signature", "weak-certificate", host, pki=pki)


def handshakes(site: Site) -> Iterator[Live]:
    """The TLS handshake fails."""
    host = "oldtls.lab.test"
    pki = owner(host)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # an old version is the purpose
        address = site.https(pki, host, None, newest=ssl.TLSVersion.TLSv1_1)
    yield Live(name="TLS 1.1", truth="tls-version", address=address, trusted=(root(pki),), by_skopeo=False)
    host = "mutual.lab.test"
    pki = owner(host)
    address = site.https(pki, host, None, wants_client=True)
    yield Live(
        name="client certificate wanted", truth="client-certificate-required", address=address, trusted=(root(pki),)
    )
    port = site.running.enter_context(answering((site.address, 0), None, public()))
    yield Live(name="plain HTTP", truth="plain-http", address=f"{site.name('plain.lab.test')}:{port}")


def scenarios(site: Site) -> list[Live]:
    """Return all scenarios, with their servers running."""
    groups = (not_trusted, proxied, chains, times, names, handshakes)
    return [one for make in groups for one in make(site)]
