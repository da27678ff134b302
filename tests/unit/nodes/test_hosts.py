import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.errors import UserError
from trustplane.nodes import hosts
from trustplane.nodes.state import File, NodeState, Runtime

DIRECTORY = "/etc/containerd/certs.d"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def node(*paths: str) -> NodeState:
    files = {f"{DIRECTORY}/{path}": File("x", 1) for path in paths}
    return NodeState(files, None, Runtime("active", "x", 1), None, frozenset(), False, 0, 0, "active", "t")


def test_the_ca_is_named_for_one_registry_only() -> None:
    ca, toml = hosts.files("r.test:5000", PEM).items()
    assert ca == (f"{DIRECTORY}/r.test:5000/trustplane.pem", PEM)
    assert toml[0] == f"{DIRECTORY}/r.test:5000/hosts.toml"
    assert tomllib.loads(toml[1]) == {
        "server": "https://r.test:5000",
        "host": {"https://r.test:5000": {"capabilities": ["pull", "resolve"], "ca": [ca[0]]}},
    }


@given(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?(:[0-9]{1,5})?", fullmatch=True))
def test_any_host_gets_a_file_that_parses(host: str) -> None:
    toml = [content for path, content in hosts.files(host, PEM).items() if path.endswith("hosts.toml")]
    assert list(tomllib.loads(toml[0])["host"]) == [f"https://{host}"]


@pytest.mark.parametrize("host", ["", "..", "a/b", "https://r.test", "r.test:x", 'r"test', "r.test\n", "_default"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(UserError, match="no host of a registry"):
        hosts.files(host, PEM)


def test_what_has_no_effect_is_reported() -> None:
    state = node(
        "r.test:5000/ca.crt", "r.test:5000/client.cert", "r.test:5000/note.txt", "_default/hosts.toml", "x/ca.crt"
    )
    found = hosts.shadows("r.test:5000", state, hosts.files("r.test:5000", PEM))
    assert found == [
        hosts.Shadow(f"{DIRECTORY}/r.test:5000/ca.crt", f"{DIRECTORY}/r.test:5000/hosts.toml", is_ours=False),
        hosts.Shadow(f"{DIRECTORY}/r.test:5000/client.cert", f"{DIRECTORY}/r.test:5000/hosts.toml", is_ours=False),
        hosts.Shadow(f"{DIRECTORY}/_default", f"{DIRECTORY}/r.test:5000", is_ours=False),
    ]


def test_a_nearer_directory_of_somebody_else_shadows_ours() -> None:
    found = hosts.shadows("r.test:5000", node("r.test_5000_/hosts.toml"), [])
    assert found == [hosts.Shadow(f"{DIRECTORY}/r.test:5000", f"{DIRECTORY}/r.test_5000_", is_ours=True)]


def test_a_host_alone_shadows_nothing() -> None:
    assert hosts.shadows("r.test", node("r.test/hosts.toml", "r.test/trustplane.pem"), []) == []
