"""Scenarios of certificates: which chain is served, who trusts what, and what is on the node."""

import datetime as dt
from collections.abc import Callable, Iterator

from laboratory.material import (
    BLOBS,
    HARBOR,
    MIRROR,
    NOW,
    PKI,
    REKEYED,
    TOKEN,
    UNKNOWN,
    Scenario,
    case,
    disk,
    head,
    host,
    node,
    other,
    own,
    pulling,
    service,
    tls,
)
from oracle import drafts
from oracle.drafts import BASIC, CLIENT_AUTH, CONSTRAINTS, EKU, SAN
from oracle.encoding import dns, general_name, sequence, time, tlv
from oracle.keyring import ODD_SCHEMES
from trustplane.diagnosis.evidence import Case, ListEntry, ObservedFrom, TrustList
from trustplane.diagnosis.layer import Role

ELSEWHERE = PKI(6).ders(PKI(6).root)[0]  # a CA that has no part in it
TIMES = "x509: certificate has expired or is not yet valid: current time"


def _case(pki: PKI, words: str = UNKNOWN, *served: bytes, **known: object) -> Case:
    return case(tls(words), hosts=(host(*(served or pki.ders())),), **known)


def not_trusted() -> Iterator[Scenario]:
    """Nobody on the way to the node has the CA."""
    pki = PKI()
    root, whole = pki.ders(pki.root)[0], pki.ders(pki.server, pki.issuing, pki.root)
    force = {"desired": own(ELSEWHERE), "in_force": own(ELSEWHERE)}
    truth = "issuer-not-trusted"
    yield Scenario("unknown CA, served to its root", truth, _case(pki, UNKNOWN, *whole, **force))
    yield Scenario("CA in the service's list only", truth, _case(pki, service=service(root), **force))
    yield Scenario("CA in another cluster's set", truth, _case(pki, others=(other(root),), **force))
    yield Scenario("CA that nobody has", truth, _case(pki, **force))
    limited = f'Back-off pulling image "{HARBOR}/team/app:1": ErrImagePull: pull QPS exceeded'
    both = case(limited, tls(), hosts=(host(*whole),), **force)
    yield Scenario("unknown CA, and a kubelet that limits itself", truth, both)
    crio = (
        f'Failed to pull image "{HARBOR}/team/app:1": rpc error: code = Unknown desc = initializing source '
        f'docker://{HARBOR}/team/app:1: pinging container registry {HARBOR}: Get "https://{HARBOR}/v2/": {UNKNOWN}'
    )
    yield Scenario("unknown CA, said by CRI-O", truth, case(crio, hosts=(host(*whole),), **force))
    yield Scenario("cluster with an empty list", truth, _case(pki, UNKNOWN, *whole, desired=own(), in_force=own()))
    yield Scenario("cluster named by its kubeconfig", truth, _case(pki, UNKNOWN, *whole, cluster=""))
    old = "Failed to pull image: rpc error: code = Unknown desc = Error response from daemon: Get "
    docker = case(f"{old}https://{HARBOR}/v2/: {UNKNOWN}", hosts=(host(*whole),), **force)
    yield Scenario("unknown CA, said by Docker", truth, docker)
    yield Scenario("CA trusted for another registry only", truth, _scoped(pki, root, whole))
    alone = PKI(3)
    alone.server.issuer, alone.server.signer = alone.server.subject, alone.server.key
    self_signed = alone.ders(alone.server)
    yield Scenario("self-signed server", "self-signed-server", _case(alone, UNKNOWN, *self_signed, **force))


def _scoped(pki: PKI, root: bytes, whole: tuple[bytes, ...]) -> Case:
    scoped = TrustList("the set of cluster team/shop", (ListEntry("corp", (root,), ("other.corp",)),))
    return _case(pki, UNKNOWN, *whole, desired=scoped, in_force=scoped)


def proxied() -> Iterator[Scenario]:
    """The node is served something else than we are."""
    pki, proxy = PKI(), PKI(6, label="Web Proxy CA")
    root = pki.ders(pki.root)[0]
    known = {"desired": own(root), "in_force": own(root), "disk": disk(root)}
    seen = proxy.ders(proxy.server, proxy.issuing, proxy.root)
    hosts = (host(*pki.ders()), host(*seen, observed_from=ObservedFrom.NODE))
    yield Scenario("proxy that opens TLS", "issuer-not-trusted", case(tls(), hosts=hosts, **known))
    default = PKI(3)
    default.server.issuer, default.server.signer = default.server.subject, default.server.key
    hosts = (host(*pki.ders()), host(*default.ders(default.server), observed_from=ObservedFrom.NODE))
    yield Scenario("split DNS, self-signed default server", "self-signed-server", case(tls(), hosts=hosts, **known))
    wrong = PKI(0, host="other.corp")
    words = "x509: certificate is valid for other.corp, not harbor.corp"
    hosts = (host(*pki.ders()), host(*wrong.ders(), observed_from=ObservedFrom.NODE))
    yield Scenario("split DNS, another server", "name-mismatch", case(tls(words), hosts=hosts, **known))


def chains() -> Iterator[Scenario]:
    """The chain itself, or the CA that is trusted, is not as it has to be."""
    pki = PKI()
    root, issuing = pki.ders(pki.root)[0], pki.ders(pki.issuing)[0]
    force = {"desired": own(root), "in_force": own(root), "disk": disk(root)}
    leaf = pki.ders(pki.server)
    known_elsewhere = _case(pki, UNKNOWN, *leaf, others=(other(issuing),), **force)
    yield Scenario("intermediate not sent, known elsewhere", "missing-intermediate", known_elsewhere)
    published = _case(pki, UNKNOWN, *leaf, issuers=(issuing,), **force)
    yield Scenario("intermediate not sent, published", "missing-intermediate", published)
    middle = drafts.ca("Middle", pki.server.key, pki.issuing)
    pki.server.issuer, pki.server.signer = middle.subject, middle.key
    deep = (pki.server.der, middle.der)
    yield Scenario("second intermediate not sent", "missing-intermediate", _case(pki, UNKNOWN, *deep, **force))
    yield Scenario("intermediate not sent", "missing-intermediate", _case(pki, UNKNOWN, *leaf, **force))
    renewed = PKI(6, label="Root 0")
    whole = renewed.ders(renewed.server, renewed.issuing, renewed.root)
    yield Scenario("CA with a new key", "ca-rekeyed", _case(renewed, REKEYED, *whole, **force))
    yield Scenario("CA with a new key, bare words", "ca-rekeyed", _case(renewed, UNKNOWN, *whole, **force))
    yield from _defective()


def _defective() -> Iterator[Scenario]:
    def scenario(name: str, truth: str, pki: PKI, words: str) -> Scenario:
        root = pki.ders(pki.root)[0]
        return Scenario(name, truth, _case(pki, words, desired=own(root), in_force=own(root), disk=disk(root)))

    hint = f'{UNKNOWN} (possibly because of "{{}}" while trying to verify candidate authority certificate "Root 0")'
    pki = PKI()
    pki.root.put(BASIC, drafts.basic(ca=False), critical=True)
    words = hint.format("x509: invalid signature: parent certificate cannot sign this kind of certificate")
    yield scenario("trusted CA without CA:TRUE", "ca-not-a-ca", pki, words)
    pki = PKI()
    pki.server.not_after = time("261120000000Z")
    yield scenario(
        "server expired", "certificate-expired", pki, f"{TIMES} 2026-11-23T12:00:00Z is after 2026-11-20T00:00:00Z"
    )
    pki = PKI()
    pki.issuing.not_after = time("261120000000Z")
    words = hint.format(f"{TIMES} 2026-11-23T12:00:00Z is after 2026-11-20T00:00:00Z").replace("Root", "Issuing")
    yield scenario("intermediate expired", "certificate-expired", pki, words)
    pki = PKI()
    pki.root.not_after = time("261120000000Z")
    words = hint.format(f"{TIMES} 2026-11-23T12:00:00Z is after 2026-11-20T00:00:00Z")
    yield scenario("root expired", "certificate-expired", pki, words)
    pki = PKI()
    pki.server.not_before = time("261201000000Z")
    words = f"{TIMES} 2026-11-23T12:00:00Z is before 2026-12-01T00:00:00Z"
    yield scenario("server not yet valid", "certificate-not-yet-valid", pki, words)
    words = "x509: certificate is valid for other.corp, not harbor.corp"
    yield scenario("certificate for another name", "name-mismatch", PKI(host="other.corp"), words)
    pki = PKI()
    pki.server.drop(SAN)
    words = "x509: certificate relies on legacy Common Name field, use SANs instead"
    yield scenario("certificate without names", "no-subject-alt-name", pki, words)
    pki = PKI()
    pki.server.put(EKU, drafts.usages(CLIENT_AUTH))
    yield scenario(
        "certificate for clients", "wrong-key-usage", pki, "x509: certificate specifies an incompatible key usage"
    )
    pki = PKI()
    pki.root.put(CONSTRAINTS, sequence(tlv(0xA0, sequence(dns("example.com")))), critical=True)
    words = (
        "x509: a root or intermediate certificate is not authorized to sign for this name: DNS name is not permitted"
    )
    yield scenario("CA for other names", "name-constraint", pki, words)
    yield from _refused(scenario)


def _refused(scenario: Callable[[str, str, PKI, str], Scenario]) -> Iterator[Scenario]:
    hint = f'{UNKNOWN} (possibly because of "{{}}" while trying to verify candidate authority certificate "Root 0")'
    pki = PKI()
    pki.root.put(BASIC, drafts.basic(ca=True, path_length=0), critical=True)
    words = hint.format("x509: too many intermediates for path length constraint")
    yield scenario("CA that allows no intermediate", "path-length", pki, words)
    pki = PKI()
    pki.server.scheme = ODD_SCHEMES[4]
    words = hint.format("x509: cannot verify signature: insecure algorithm ECDSA-SHA1").replace("Root", "Issuing")
    yield scenario("SHA-1 signature", "weak-certificate", pki, words)


def on_nodes() -> Iterator[Scenario]:
    """The list has the CA; the node has it not, or its containerd does not know it."""
    pki = PKI()
    root = pki.ders(pki.root)[0]
    both = {"desired": own(root), "in_force": own(root)}
    applied, stale, broken = "trust-not-applied", "runtime-stale", "ca-file-malformed"
    yield Scenario("list changed, cluster not updated", applied, _case(pki, desired=own(root), in_force=own(ELSEWHERE)))
    yield Scenario("file not on the node", applied, _case(pki, disk=disk(ELSEWHERE), **both))
    drifted = node(drift="edited by somebody: /etc/ssl/certs/tkg-ca-0.pem")
    yield Scenario("file edited by somebody", applied, _case(pki, disk=disk(ELSEWHERE), node=drifted, **both))
    yield Scenario("drift, by the last look", applied, _case(pki, node=drifted, **both))
    yield Scenario("older set on the node", applied, _case(pki, node=node(is_current=False), **both))
    yield Scenario("older set on the node, old key", applied, _case(pki, REKEYED, disk=disk(ELSEWHERE), **both))
    yield Scenario("containerd older than the file", stale, _case(pki, disk=disk(root, stale=True), **both))
    yield Scenario("stale, by the last look", stale, _case(pki, node=node(is_stale=True), **both))
    yield Scenario("stale, with the old key", stale, _case(pki, REKEYED, disk=disk(root, stale=True), **both))
    path = "/etc/ssl/certs/tkg-ca-0.pem"
    yield Scenario("file cut short", broken, _case(pki, disk=disk(ELSEWHERE, bad=(path,)), **both))
    foreign = disk(ELSEWHERE, bad=("/etc/ssl/certs/tkg-another.pem",))
    yield Scenario("file removed, that of another CA cut short", applied, _case(pki, disk=foreign, **both))
    named = "/etc/containerd/certs.d/harbor.corp:8443/ca.crt"
    words = pulling(f'unable to load CA cert "{named}"')
    yield Scenario("broken file in certs.d", broken, case(words, hosts=(host(*pki.ders()),), **both))
    words = pulling(f'unable to read CA cert "{named}": open {named}: no such file or directory')
    seen = disk(root, bad=(path,))
    yield Scenario(
        "broken file in certs.d, CA on the node",
        broken,
        case(pulling(f'unable to load CA cert "{named}"'), hosts=(host(*pki.ders()),), disk=seen, **both),
    )
    yield Scenario("certs.d names no file", "ca-file-unreadable", case(words, hosts=(host(*pki.ders()),), **both))
    yield Scenario("node not looked at", applied, _case(pki, **both))
    yield from _two_roots()
    yield from _clocks(pki, root)


def _two_roots() -> Iterator[Scenario]:
    """An expired root beside the good one of the same name and key."""
    pki, old = PKI(), PKI()
    old.root.not_after = time("261120000000Z")
    good, expired = pki.ders(pki.root)[0], old.ders(old.root)[0]
    both = {"desired": own(expired, good), "in_force": own(expired, good)}
    words = (
        f'{UNKNOWN} (possibly because of "{TIMES} 2026-11-23T12:00:00Z is after 2026-11-20T00:00:00Z" while trying to '
        'verify candidate authority certificate "Root 0")'
    )
    yield Scenario("new root not on the node", "trust-not-applied", _case(pki, words, disk=disk(expired), **both))
    stale = disk(expired, good, stale=True)
    yield Scenario("new root not loaded", "runtime-stale", _case(pki, words, disk=stale, **both))
    plain = f"{TIMES} 2026-11-23T12:00:00Z is after 2026-11-20T00:00:00Z"  # where nothing else was tried
    yield Scenario(
        "new root not on the node, expired one named",
        "trust-not-applied",
        _case(pki, plain, disk=disk(expired), **both),
    )
    yield Scenario("new root not loaded, expired one named", "runtime-stale", _case(pki, plain, disk=stale, **both))
    only = {"desired": own(expired), "in_force": own(expired), "disk": disk(expired)}
    yield Scenario("only the expired root", "certificate-expired", _case(pki, words, **only))


def _clocks(pki: PKI, root: bytes) -> Iterator[Scenario]:
    both = {"desired": own(root), "in_force": own(root)}
    words = f"{TIMES} 2020-01-01T00:00:00Z is before 2025-01-01T00:00:00Z"
    behind = disk(root, clock=dt.datetime(2020, 1, 1, tzinfo=dt.UTC) - NOW)
    yield Scenario("node's clock behind", "certificate-not-yet-valid", _case(pki, words, disk=behind, **both))
    words = f"{TIMES} 2040-01-01T00:00:00Z is after 2035-12-31T23:59:59Z"
    ahead = disk(root, clock=dt.datetime(2040, 1, 1, tzinfo=dt.UTC) - NOW)
    yield Scenario("node's clock ahead", "certificate-expired", _case(pki, words, disk=ahead, **both))


def second_hosts() -> Iterator[Scenario]:
    """Token service, blob store, and mirror."""
    pki, token = PKI(), PKI(6, host=TOKEN)
    token.server.put(SAN, sequence(general_name(TOKEN), general_name(BLOBS), general_name("mirror.corp")))
    root, whole = pki.ders(pki.root)[0], token.ders(token.server, token.issuing, token.root)
    foreign = token.ders(token.root)[0]
    force = {"desired": own(root), "in_force": own(root), "disk": disk(root)}
    both = {"desired": own(root, foreign), "in_force": own(root, foreign)}
    url = f"https://{TOKEN}/token?scope=repository%3Ateam%2Fapp%3Apull&service=harbor"
    words = pulling(
        f'failed to authorize: failed to fetch anonymous token: Get "{url}": '
        f"tls: failed to verify certificate: {UNKNOWN}"
    )
    hosts = (host(*pki.ders()), host(*whole, role=Role.TOKEN_SERVICE, address=TOKEN))
    truth = "token-service-untrusted"
    yield Scenario("wrong CA on the token service", truth, case(words, hosts=hosts, **force))
    bare = pulling(f"failed to authorize: failed to fetch oauth token: {UNKNOWN}")
    yield Scenario("wrong CA on the token service, unnamed", truth, case(bare, hosts=hosts, **force))
    yield Scenario(
        "token service's CA not on the node",
        "trust-not-applied",
        case(words, hosts=hosts, **{**both, "disk": disk(root)}),
    )
    stale = disk(root, foreign, stale=True)
    yield Scenario(
        "token service's CA not loaded", "runtime-stale", case(words, hosts=hosts, **{**both, "disk": stale})
    )
    image = f"{HARBOR}/team/app:1"
    words = (
        f'Failed to pull image "{image}": failed to pull and unpack image "{image}": failed to copy: httpReadSeeker: '
        f'failed open: failed to do request: Get "https://{BLOBS}/docker/registry/v2/blobs/sha256/ab/data": tls: '
        f"failed to verify certificate: {UNKNOWN}"
    )
    hosts = (host(*pki.ders()), host(*whole, role=Role.BLOB_STORE, address=BLOBS))
    yield Scenario("wrong CA on the blob store", "blob-host-untrusted", case(words, hosts=hosts, **force))
    words = head(
        f"tls: failed to verify certificate: {UNKNOWN}", MIRROR, "/v2/team/app/manifests/1?ns=harbor.corp%3A8443"
    )
    hosts = (host(*whole, role=Role.MIRROR, address=MIRROR), host(*pki.ders()))
    yield Scenario("mirror not trusted, before the origin", "issuer-not-trusted", case(words, hosts=hosts, **force))
    gone = pulling(f"{HARBOR}/team/app:1: not found")
    asked = (host(*pki.ders()), host(*whole, role=Role.MIRROR, address=MIRROR, observed_from=ObservedFrom.NODE))
    yield Scenario("mirror not trusted, the origin answers", "issuer-not-trusted", case(gone, hosts=asked, **force))
    words = head(
        "dial tcp 10.0.0.9:5000: connect: connection refused", MIRROR, "/v2/team/app/manifests/1?ns=harbor.corp%3A8443"
    )
    hosts = (host(role=Role.MIRROR, address=MIRROR, failure="connection-refused"), host(*pki.ders()))
    yield Scenario("mirror down, before the origin", "connection-refused", case(words, hosts=hosts, **force))


def scenarios() -> list[Scenario]:
    """Return all of them."""
    return [one for make in (not_trusted, proxied, chains, on_nodes, second_hosts) for one in make()]
