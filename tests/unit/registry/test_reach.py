"""Decisions about the hosts that a registry names."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.registry import reach
from trustplane.registry.address import Address
from trustplane.registry.reach import Target, Unasked, address_kind, is_same_site, skip_reason, target

PUBLIC_IP, PRIVATE_IP = "93.184.216.34", "10.1.2.3"


@pytest.mark.parametrize(
    ("registry", "other"),
    [
        ("harbor.corp.example", "harbor.corp.example"),
        ("harbor.corp.example", "HARBOR.corp.example."),
        ("harbor.corp.example", "auth.corp.example"),
        ("harbor.corp.example", "corp.example"),
        ("corp.example", "auth.corp.example"),
        ("registry-1.docker.io", "auth.docker.io"),
        ("registry.gitlab.com", "gitlab.com"),
        ("docker.elastic.co", "docker-auth.elastic.co"),
        ("shop.co.uk", "auth.shop.co.uk"),
        ("10.0.0.5", "10.0.0.5"),
        ("localhost", "localhost"),
        ("harbor", "harbor"),
    ],
)
def test_hosts_on_the_registrys_site(registry: str, other: str) -> None:
    assert is_same_site(registry, other)


@pytest.mark.parametrize(
    ("registry", "other"),
    [
        ("harbor.corp.example", "auth.other.example"),
        ("harbor.corp.example", "notcorp.example"),
        ("a.b.corp.example", "auth.corp.example"),
        ("corp.example", "other.example"),
        ("shop.co.uk", "vault.co.uk"),
        ("shop.com.au", "com.au"),
        ("10.0.0.5", "10.0.0.6"),
        ("10.0.0.5", "1.10.0.0.5"),
        ("harbor", "vault"),
        ("evil.example", "169.254.169.254"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_hosts_on_another_site(registry: str, other: str) -> None:
    assert not is_same_site(registry, other)


@pytest.mark.parametrize(
    ("ip", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("0.0.0.0", "loopback"),  # noqa: S104
        ("::1", "loopback"),
        ("::", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "link-local"),
        ("10.0.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        (PUBLIC_IP, "public"),
        ("2606:2800:220:1::1", "public"),
    ],
)
def test_addresses_have_a_kind(ip: str, kind: str) -> None:
    assert address_kind(ip) == kind


@given(st.ip_addresses().map(str))
def test_every_address_has_one_of_four_kinds(ip: str) -> None:
    assert address_kind(ip) in {"public", "private", "link-local", "loopback"}


addresses = st.lists(st.ip_addresses().map(str), max_size=3)


@given(own=addresses, others=addresses, anywhere=st.booleans())
def test_a_remote_registry_cannot_have_loopback_or_link_local_addresses_contacted(
    own: list[str], others: list[str], *, anywhere: bool
) -> None:
    inner = {"loopback", "link-local"}
    if set(map(address_kind, others)) & inner - set(map(address_kind, own)):
        assert skip_reason(own, others, anywhere=anywhere)


@given(own=addresses, others=addresses)
def test_hosts_allowed_without_the_option_are_allowed_with_it(own: list[str], others: list[str]) -> None:
    if not skip_reason(own, others, anywhere=False):
        assert not skip_reason(own, others, anywhere=True)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """IP addresses by name, in place of the resolver."""
    known = {"r.corp.example": PUBLIC_IP, "auth.corp.example": PUBLIC_IP, "vault.inner.example": PRIVATE_IP}

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port))]

    monkeypatch.setattr(reach.socket, "getaddrinfo", getaddrinfo)
    return known


REGISTRY = Address("r.corp.example")


def test_a_host_on_the_site_is_allowed_at_the_approved_address_only(names: dict[str, str]) -> None:
    del names
    assert target(REGISTRY, Address("auth.corp.example"), anywhere=False) == Target(
        Address("auth.corp.example"), (PUBLIC_IP,)
    )


def test_a_host_on_another_site_is_reported_with_the_option_that_allows_it(names: dict[str, str]) -> None:
    del names
    skipped = target(REGISTRY, Address("vault.inner.example", 8200), anywhere=False)
    assert isinstance(skipped, Unasked)
    assert skipped.message == (
        "vault.inner.example:8200 was not contacted: it is not on the registry's site. "
        "--follow-hosts contacts other sites, without credentials"
    )
    assert isinstance(target(REGISTRY, Address("vault.inner.example", 8200), anywhere=True), Target)


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_name_on_the_site_may_not_lead_to_an_internal_address(names: dict[str, str], *, anywhere: bool) -> None:
    names["auth.corp.example"] = "127.0.0.1"
    skipped = target(REGISTRY, Address("auth.corp.example"), anywhere=anywhere)
    assert isinstance(skipped, Unasked)
    assert "loopback" in skipped.why


def test_a_name_without_addresses_is_a_failure_of_that_host(names: dict[str, str]) -> None:
    del names
    host = target(REGISTRY, Address("gone.corp.example"), anywhere=False)
    assert isinstance(host, Target)
    assert host.failure
    assert host.failure.cause == "dns-not-found"
