import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.limits import MAX_HOST_LENGTH, MAX_NAME_LENGTH
from trustplane.trust.entries import is_entry_name
from trustplane.trust.node_files import (
    CertificateFile,
    hosts_toml_path,
    is_managed_hosts_toml,
    is_registry_host,
    parse_certificate_path,
    parse_hosts_toml_path,
    render_hosts_toml,
    scopes_by_name,
)

DIRECTORY = "/etc/containerd/certs.d"
HOSTS = st.from_regex(
    r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:]{2,10}\](:[0-9]{1,5})?", fullmatch=True
)
NAMES = st.text(max_size=250).filter(is_entry_name) | st.from_regex(
    r"[.]?[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}", fullmatch=True
)


@given(name=NAMES, host=HOSTS | st.just(""))
def test_a_path_identifies_the_file(name: str, host: str) -> None:
    path = CertificateFile(name, host).path
    assert parse_certificate_path(path) == CertificateFile(name, host)
    assert len(path.rpartition("/")[2].encode()) <= 255
    assert not path.endswith((".crt", ".cert", ".key"))
    assert len(CertificateFile("n" * MAX_NAME_LENGTH, "h" * MAX_HOST_LENGTH).path) <= 512
    assert path.count("/") == (5 if host else 4)


@given(host=HOSTS, names=st.sets(NAMES, min_size=1, max_size=4))
def test_hosts_toml_names_the_cas_of_one_registry(host: str, names: set[str]) -> None:
    text = render_hosts_toml(host, names)
    url = f"https://{host}"
    assert tomllib.loads(text) == {
        "server": url,
        "host": {
            url: {
                "capabilities": ["pull", "resolve"],
                "ca": [CertificateFile(name, host).path for name in sorted(names)],
            }
        },
    }
    assert (parse_hosts_toml_path(hosts_toml_path(host)), parse_certificate_path(hosts_toml_path(host))) == (host, None)
    assert is_managed_hosts_toml(hosts_toml_path(host), text)
    assert "{" not in text  # bootstrap data is a template


def test_docker_hub_has_containerds_default_server() -> None:
    assert tomllib.loads(render_hosts_toml("docker.io", ["a"]))["server"] == "https://registry-1.docker.io"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/ssl/certs/ca.pem",
        "/etc/ssl/certs/tkg-.pem",
        "/etc/ssl/certs/tkg-a.crt",
        "/etc/ssl/certs/x/tkg-a.pem",
        "/etc/ssl/certs/tkg-../x.pem",
        "/etc/ssl/certs/tkg-a.pem\n",
        f"{DIRECTORY}/tkg-a.pem",
        f"{DIRECTORY}/_default/tkg-a.pem",
        f"{DIRECTORY}/../tkg-a.pem",
        f"{DIRECTORY}/r.test/x/tkg-a.pem",
        "r.test/tkg-a.pem",
    ],
)
def test_other_paths_are_foreign(path: str) -> None:
    assert parse_certificate_path(path) is None


@pytest.mark.parametrize(
    "path", ["/x/hosts.toml", f"{DIRECTORY}/hosts.toml", f"{DIRECTORY}/_default/hosts.toml", "hosts.toml"]
)
def test_other_tomls_belong_to_no_registry(path: str) -> None:
    assert parse_hosts_toml_path(path) == ""
    assert not is_managed_hosts_toml(path, render_hosts_toml("r.test", ["a"]))


@pytest.mark.parametrize(
    "content", ["", 'server = "https://r.test"\n', "# edited\n" + render_hosts_toml("r.test", ["a"])]
)
def test_a_foreign_toml_is_recognised_by_its_content(content: str) -> None:
    assert not is_managed_hosts_toml(hosts_toml_path("r.test"), content)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "..",
        "a/b",
        "https://r.test",
        "r.test:x",
        'r"test',
        "r.test\n",
        "_default",
        "::1",
        "a" * 256,
        "r t",
        "r,t",
        "r=t",
    ],
)
def test_invalid_hosts_are_rejected(host: str) -> None:
    assert not is_registry_host(host)


@pytest.mark.parametrize("host", ["r", "r.test", "R.test:5000", "10.0.0.1:443", "[fd00::1]:5000", "[::1]"])
def test_hosts_of_image_references_are_valid(host: str) -> None:
    assert is_registry_host(host)


def test_registries_of_each_entry() -> None:
    places = [CertificateFile("a", "r.test"), CertificateFile("a", "s.test"), CertificateFile("b")]
    assert scopes_by_name(places) == {"a": ["r.test", "s.test"], "b": []}
