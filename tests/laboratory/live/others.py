"""Scenarios that involve neither trust nor a login: the image, a fault of the registry, and the network."""

from collections.abc import Iterator
from dataclasses import replace

from laboratory.live.answers import (
    PAGE,
    always,
    error,
    failing,
    for_another_platform,
    image,
    of_old_schema,
    public,
    without_layer,
)
from laboratory.live.scenario import Live, Site, owner, root, trusted
from laboratory.live.server import closing, dropping, nobody, resetting, silent, talking


def images(site: Site) -> Iterator[Live]:
    """The image is defective."""
    yield trusted(site, "layer is gone", "blob-missing", "lost.lab.test", public(without_layer(image("lost"))))
    answer = public(for_another_platform("platform"))
    yield trusted(site, "image for another platform", "platform-missing", "platform.lab.test", answer)
    lying = replace(image("lying"), claimed=f"sha256:{0:064}")
    yield trusted(site, "digest differs", "digest-mismatch", "lying.lab.test", public(lying), by_skopeo=False)
    answer = public(of_old_schema())
    yield trusted(site, "manifest of schema 1", "manifest-unsupported", "schema1.lab.test", answer, by_skopeo=False)
    pki = owner("never.lab.test")
    address = site.https(pki, "never.lab.test", public(image("never")))
    yield Live(
        name="image never pulled",
        truth="image-not-present",
        address=address,
        trusted=(root(pki),),
        pull_policy="Never",
        by_skopeo=False,
    )
    yield Live(
        name="upper case in the name",
        truth="invalid-image-name",
        address=address,
        image=f"{address}/Team/app:1",
        by_skopeo=False,
    )


def troubles(site: Site) -> Iterator[Live]:
    """The registry, or another server at its address, fails."""
    broken = error(500, "UNKNOWN", "unknown error")
    yield trusted(site, "500", "registry-error", "broken.lab.test", failing(broken))
    busy = error(429, "TOOMANYREQUESTS", "slow down")
    yield trusted(site, "429", "rate-limited", "busy.lab.test", failing(busy))
    yield trusted(site, "portal answers", "not-a-registry", "portal.lab.test", always(PAGE))


def network(site: Site) -> Iterator[Live]:
    """The registry is unreachable, or does not respond."""
    yield Live(name="no such name", truth="dns-not-found", address="nowhere.lab.invalid:5000")
    for name, truth, port in (
        ("nobody listens", "connection-refused", nobody(site.address)),
        ("packets dropped", "connection-timeout", dropping(site.address)),
        ("handshake not answered", "tls-timeout", talking(site.address, silent)),
        ("connection reset", "connection-reset", talking(site.address, resetting)),
        ("connection closed", "connection-closed", talking(site.address, closing)),
    ):
        host = site.name(f"{truth}.net.lab.test")
        address = f"{host}:{site.running.enter_context(port)}"
        yield Live(name=name, truth=truth, address=address, by_skopeo=truth != "connection-timeout")  # it has no limit
    yield Live(name="no route", truth="network-unreachable", address=f"{site.unused}:5000")


def scenarios(site: Site) -> list[Live]:
    """Return all scenarios, with their servers running."""
    return [one for make in (images, troubles, network) for one in make(site)]
