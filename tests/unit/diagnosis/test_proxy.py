"""The proxy that a Go program uses, by its environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.diagnosis.proxy import proxy_for

PROXY = "http://proxy.corp.test:3128"


@pytest.mark.parametrize(
    ("excepted", "address"),
    [
        ("harbor.corp.test", "harbor.corp.test:8443"),
        ("corp.test", "harbor.corp.test"),
        (".corp.test", "harbor.corp.test"),
        ("*.corp.test", "Harbor.Corp.Test"),
        ("other.test, .corp.test ,", "harbor.corp.test"),
        ("harbor.corp.test:8443", "harbor.corp.test:8443"),
        ("harbor.corp.test:443", "harbor.corp.test"),
        ("10.0.0.0/8", "10.1.2.3:5000"),
        ("10.1.2.3", "10.1.2.3:5000"),
        ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
        ("2001:db8::/32", "[2001:db8::1]:5000"),
        ("*", "harbor.corp.test"),
        ("", "localhost:5000"),
        ("", "127.0.0.1:5000"),
    ],
)
def test_hosts_reached_directly(excepted: str, address: str) -> None:
    assert not proxy_for({"HTTPS_PROXY": PROXY, "NO_PROXY": excepted}, address)


@pytest.mark.parametrize(
    ("excepted", "address"),
    [
        ("", "harbor.corp.test"),
        ("arbor.corp.test", "harbor.corp.test"),
        (".harbor.corp.test", "harbor.corp.test"),
        ("*.harbor.corp.test", "harbor.corp.test"),
        ("harbor.corp.test:443", "harbor.corp.test:8443"),
        ("10.0.0.0/8", "harbor.corp.test"),
        ("10.0.0.0/8", "11.1.2.3"),
        ("10.0.0.0/99", "10.1.2.3"),
        (":8443", "harbor.corp.test:8443"),
    ],
)
def test_hosts_reached_through_the_proxy(excepted: str, address: str) -> None:
    assert proxy_for({"https_proxy": PROXY, "no_proxy": excepted}, address) == PROXY


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy.corp.test:3128", PROXY),
        ("http://user:secret@proxy.corp.test:3128/", PROXY),
        ("http://proxy.corp.test", "http://proxy.corp.test:80"),
        ("socks5://proxy.corp.test", "socks5://proxy.corp.test:1080"),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("", ""),
        ("http://proxy.corp.test:port", ""),
    ],
)
def test_spellings_of_a_proxy(value: str, proxy: str) -> None:
    assert proxy_for({"HTTPS_PROXY": value}, "harbor.corp.test") == proxy


@given(st.text(), st.text(), st.text())
def test_any_environment_has_an_answer(proxy: str, excepted: str, address: str) -> None:
    proxy_for({"HTTPS_PROXY": proxy, "NO_PROXY": excepted}, address)
