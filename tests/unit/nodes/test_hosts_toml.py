import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.nodes.hosts_toml import MAX_SIZE, RegistryEndpoint, parse_hosts_toml
from trustplane.trust.node_files import render_hosts_toml


def test_hosts_are_in_containerds_order() -> None:
    parsed = parse_hosts_toml("""
        server = "https://registry.corp.test:5000"
        skip_verify = true
        [host."https://mirror.test".header]
          x = "y"
        [host."http://second.test:80/v2/x"]
          capabilities = ["push"]
          ca = ["a.pem"]
          override_path = true
        [host."third.test"]
          skip_verify = true
    """)
    assert parsed.hosts == (
        RegistryEndpoint("https://mirror.test"),
        RegistryEndpoint("http://second.test:80/v2/x", serves=False),
        RegistryEndpoint("third.test", skips_verification=True),
    )
    assert parsed.server == RegistryEndpoint("https://registry.corp.test:5000", skips_verification=True)
    assert [(host.scheme, host.address) for host in parsed.hosts] == [
        ("https", "mirror.test"),
        ("http", "second.test:80"),
        ("https", "third.test"),
    ]


def test_without_a_server_the_registry_itself_is_asked_last() -> None:
    assert parse_hosts_toml("").server == RegistryEndpoint("")
    assert parse_hosts_toml("# nothing").hosts == ()


def test_a_file_written_by_trustplane_is_parsed() -> None:
    parsed = parse_hosts_toml(render_hosts_toml("registry.corp.test:5000", ["corp"]))
    assert parsed.hosts == (RegistryEndpoint("https://registry.corp.test:5000"),)
    assert parsed.server.address == "registry.corp.test:5000"


@pytest.mark.parametrize(
    "text",
    [
        "server = 1",
        "host = 1",
        'host = ["a"]',
        '[[host."https://a"]]',
        'Server = "http://a"',
        "SKIP_VERIFY = true",
        '[host."https://a"]\nSkip_Verify = true',
        'HOST = {"https://a" = {}}',
        'skip_verify = "no"',
        'capabilities = "pull"',
        'capabilities = ["pull", "everything"]',
        "a = " + "[" * 20_000,
        "a = " + "9" * 5_000,
        "a = 2001-99-99",
        "#" * (MAX_SIZE + 1),
        "no toml",
    ],
)
def test_a_file_that_containerd_may_interpret_differently_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is|it differs|is not in lower case"):
        parse_hosts_toml(text)


@pytest.mark.parametrize("url", ["http:", "http://", "httpd", "https:///v2"])
def test_a_url_without_a_host_has_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        assert RegistryEndpoint(url).address == ""


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        parsed = parse_hosts_toml(text)
    except ValueError:
        return
    assert parsed.server is not None
