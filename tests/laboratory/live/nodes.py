"""Scenarios of nodes: the list has the CA, but the node lacks it, lost it, or has not loaded it. And of mirrors."""

from collections.abc import Iterator

from oracle import drafts
from oracle.encoding import time
from oracle.pem import pem
from oracle.server import TLS

from laboratory.live.scenario import Live, Site, owner, root, whole
from laboratory.live.server import nobody, opening, talking

_APPLIED, _STALE, _BROKEN = "trust-not-applied", "runtime-stale", "ca-file-malformed"
_AWAY = "mv {file} /run/lab-{slug}.pem"
_BACK = "cp /run/lab-{slug}.pem {file}"


def edited(site: Site) -> Iterator[Live]:
    """Another tool or person changed the node."""
    for name, truth, edit, later in (
        ("file removed by somebody", _APPLIED, _AWAY, ""),
        ("file put back, containerd not restarted", _STALE, _AWAY, _BACK),
        ("file cut short", _BROKEN, "cp {file} /run/lab-{slug}.pem; truncate -s 200 {file}", ""),
    ):
        host = f"{truth}{len(later)}.lab.test"
        pki = owner(host)
        address = site.https(pki, host)
        yield Live(name=name, truth=truth, address=address, trusted=(root(pki),), edit=edit, later=later)
    host = "replaced.lab.test"
    pki, other = owner(host), owner(host, "Somebody's own")
    edit = "cp {file} /run/lab-{slug}.pem; cat >{file} <<'END'\n" + pem(root(other)) + "END"
    address = site.https(pki, host, None, *whole(pki))
    yield Live(name="file replaced by another CA", truth=_APPLIED, address=address, trusted=(root(pki),), edit=edit)
    host = "added.lab.test"
    pki = owner(host)
    yield Live(
        name="list changed, cluster not updated", truth=_APPLIED, address=site.https(pki, host), added=(root(pki),)
    )


def two_roots(site: Site) -> Iterator[Live]:
    """An expired root beside the valid one with the same name and key."""
    for name, truth, later in (
        ("expired root on the node, good one gone", _APPLIED, ""),
        ("expired root loaded, good one not", _STALE, "cp /run/lab-{slug}.pem {second}"),
    ):
        host = f"tworoots{len(later)}.lab.test"
        pki = owner(host)
        old = drafts.ca(f"tworoots{len(later)} root", pki.root.key)
        old.not_after = time("261120000000Z")
        trusted = (old.der, root(pki))
        edit = "mv {second} /run/lab-{slug}.pem"
        yield Live(name=name, truth=truth, address=site.https(pki, host), trusted=trusted, edit=edit, later=later)


def certs_d(site: Site) -> Iterator[Live]:
    """Foreign files in containerd's configuration."""
    for name, truth, edit in (
        (
            "certs.d names no file",
            "ca-file-unreadable",
            "mkdir -p {certs}; printf 'ca = \"/nowhere/ca.crt\"\\n' >{certs}/hosts.toml",
        ),
        ("broken file in certs.d", _BROKEN, "mkdir -p {certs}; echo nothing >{certs}/ca.crt"),
    ):
        host = f"{truth}.certs.lab.test"
        pki = owner(host)
        address = site.https(pki, host)
        yield Live(name=name, truth=truth, address=address, trusted=(root(pki),), later=edit, by_skopeo=False)


_MIRROR = """mkdir -p {{certs}}; cat >{{certs}}/hosts.toml <<'END'
server = "https://{{address}}"
[host."https://{mirror}"]
  capabilities = ["pull", "resolve"]
END"""


def mirrors(site: Site) -> Iterator[Live]:
    """A mirror fails before the origin, which is unreachable or does not have the image."""

    def live(name: str, truth: str, origin: str, mirror: str, *trusted: bytes, fix: bytes = b"") -> Live:
        later = _MIRROR.format(mirror=mirror)
        known = {"trusted": trusted, "later": later, "fix": fix, "by_skopeo": False}
        return Live(name=name, truth=truth, address=origin, **known)

    def away(host: str) -> str:
        return f"{site.name(host)}:{site.running.enter_context(nobody(site.address))}"

    untrusted = "issuer-not-trusted"
    mirror = owner("mirror1.lab.test")
    place = site.https(mirror, "mirror1.lab.test", None, *whole(mirror))
    yield live("mirror not trusted, origin out of reach", untrusted, away("origin1.lab.test"), place, fix=root(mirror))
    pki, mirror = owner("origin2.lab.test"), owner("mirror2.lab.test")
    origin, place = site.https(pki, "origin2.lab.test"), site.https(mirror, "mirror2.lab.test", None, *whole(mirror))
    yield live("mirror not trusted, origin without the image", untrusted, origin, place, root(pki), fix=root(mirror))
    yield live("mirror and origin down", "connection-refused", away("origin3.lab.test"), away("mirror3.lab.test"))


# NO_PROXY has the names of all other scenarios. The file is in /run: it disappears at the next boot at the latest.
_PROXY = """mkdir -p {folder}; cat >{folder}/proxy.conf <<'END'
[Service]
Environment=HTTPS_PROXY=http://{proxy} NO_PROXY=.lab.test,.corp.test,.docker.io,.amazonaws.com,{address}
END
systemctl daemon-reload"""
DROP_INS = "/run/systemd/system/containerd.service.d"


def proxied(site: Site) -> Iterator[Live]:
    """The node's containerd uses a proxy that intercepts TLS; every other client reaches the registry directly."""
    host = "registry.opened.test"
    ours, theirs = owner(host), owner(host, "Web Proxy CA")
    port = site.running.enter_context(talking(site.address, opening(TLS(whole(theirs), theirs.key))))
    edit = _PROXY.format(folder=DROP_INS, proxy=f"{site.address}:{port}", address=f"{site.address}/28")
    address = site.https(ours, host)
    yield Live(
        name="proxy of containerd that opens TLS",
        truth="issuer-not-trusted",
        address=address,
        trusted=(root(ours),),
        edit=edit,
        by_skopeo=False,
    )


def scenarios(site: Site) -> list[Live]:
    """Return all scenarios, with their servers running."""
    return [one for make in (edited, two_roots, certs_d, mirrors, proxied) for one in make(site)]
