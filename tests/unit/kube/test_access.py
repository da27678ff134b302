import base64
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trustplane.errors import UserError
from trustplane.kube import access
from trustplane.kube.access import Access
from trustplane.kube.errors import RefusedAccessError

PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
FORBIDDEN = {
    "clusters": [
        "insecure-skip-tls-verify", "certificate-authority", "proxy-url", "extensions", "api-version", "unknown"
    ],
    "users": [
        "exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username", "password", "as",
        "as-uid", "as-groups", "as-user-extra", "impersonate", "extensions", "unknown",
    ],
    "contexts": ["extensions", "unknown"],
}  # fmt: skip
CONTENT = {"clusters": "cluster", "users": "user", "contexts": "context"}
VALUES = st.sampled_from([True, "x", {"command": "sh"}, ["x"], "false", "http://127.0.0.1"])


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(*, server: str = "https://10.0.0.1:6443", **user: str) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "a@b",
        "clusters": [{"name": "b", "cluster": {"server": server, "certificate-authority-data": encoded(PEM)}}],
        "users": [{"name": "a", "user": user or {"token": "t0ken"}}],
        "contexts": [{"name": "a@b", "context": {"cluster": "b", "user": "a"}}],
    }


def refusal(content: Any) -> RefusedAccessError:
    with pytest.raises(RefusedAccessError) as caught:
        access.parse_kubeconfig(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert isinstance(caught.value, UserError)
    assert caught.value.why
    assert caught.value.next_step
    assert str(caught.value).isprintable()
    return caught.value


@given(
    host=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,10}){0,3}", fullmatch=True),
    port=st.integers(1, 65535),
    token=st.from_regex(r"[A-Za-z0-9._~+/=-]{1,50}", fullmatch=True),
    server_name=st.sampled_from(["", "kubernetes.default"]),
    has_certificate=st.booleans(),
    is_json=st.booleans(),
)
def test_a_well_formed_kubeconfig_is_accepted(
    host: str, port: int, token: str, server_name: str, *, has_certificate: bool, is_json: bool
) -> None:
    document = kubeconfig(server=f"https://{host}:{port}", token=token)
    document["clusters"][0]["cluster"] |= {"tls-server-name": server_name, "insecure-skip-tls-verify": False}
    if has_certificate:
        data = {"client-certificate-data": encoded(PEM), "client-key-data": encoded(PEM)}
        document["users"][0]["user"] |= data
    text = json.dumps(document) if is_json else yaml.safe_dump(document)
    pem = PEM if has_certificate else ""
    assert access.parse_secret(encoded(text)) == Access(host, port, PEM, pem, pem, token, server_name)


@pytest.mark.parametrize(("section", "name"), [(section, name) for section in FORBIDDEN for name in FORBIDDEN[section]])
@given(value=VALUES, is_used=st.booleans())
def test_every_other_field_is_refused_by_name(section: str, name: str, value: Any, *, is_used: bool) -> None:
    document = kubeconfig()
    if not is_used:
        document[section].append({"name": "other", CONTENT[section]: {}})
    document[section][0 if is_used else 1][CONTENT[section]][name] = value
    index = 0 if is_used else 1
    assert f"{section}[{index}].{CONTENT[section]}.{name}" in str(refusal(document))


@given(st.sampled_from(["extensions", "exec", "unknown"]), VALUES)
def test_every_other_top_level_or_entry_field_is_refused(name: str, value: Any) -> None:
    assert name in str(refusal(kubeconfig() | {name: value}))
    document = kubeconfig()
    document["users"][0][name] = value
    assert f"users[0].{name}" in str(refusal(document))


@pytest.mark.parametrize(
    "server",
    [
        "http://10.0.0.1:6443", "https://u:p@10.0.0.1", "https://@10.0.0.1", "https://10.0.0.1/latest/meta-data",
        "https://10.0.0.1?x", "https://10.0.0.1/?", "https://10.0.0.1#x", "https://", "https://:6443", "10.0.0.1:6443",
        "https://10.0.0.1:0", "https://10.0.0.1:99999", "https://10.0.0.1:x", "https://10.0.0.1:6443\n", "https://[::1",
        "https://a b", "https://a\\@b", "https://\u2460.0.0.1", "https://ex\u00e4mple", "file:///etc/passwd", "ftp://a",
        "https://example.com.", "https://[fe80::1%25eth0]:6443", "https://a%2eb", "", "https://a//b", "unix:///x",
        "https:///10.0.0.1", "https://-a",
    ],
)  # fmt: skip
def test_every_other_server_is_refused(server: str) -> None:
    assert "clusters[].cluster.server" in str(refusal(kubeconfig(server=server)))


@pytest.mark.parametrize(
    ("server", "host", "port", "url"),
    [
        ("https://10.0.0.1", "10.0.0.1", 443, "https://10.0.0.1:443"),
        ("https://[fd00::1]:6443/", "fd00::1", 6443, "https://[fd00::1]:6443"),
        ("HTTPS://API.Example.com:6443", "api.example.com", 6443, "https://api.example.com:6443"),
    ],
)
def test_servers(server: str, host: str, port: int, url: str) -> None:
    parsed = access.parse_kubeconfig(json.dumps(kubeconfig(server=server)).encode())
    assert (parsed.host, parsed.port, parsed.server) == (host, port, url)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clusters": [{"name": "b", "cluster": {"server": "https://a"}}]}, "certificate-authority-data"),
        ({"clusters": []}, "contexts[].context.cluster"),
        ({"clusters": 7}, "clusters"),
        ({"clusters": [7]}, "clusters[0]"),
        ({"clusters": [{"name": "b", "cluster": {"server": ["https://a"]}}]}, "clusters[].cluster.server"),
        ({"users": [{"name": "a", "user": {"token": "a\r\nX: y"}}]}, "users[].user.token"),
        ({"users": [{"name": "a", "user": {"client-key-data": encoded(PEM)}}]}, "client-key-data"),
        ({"users": [{"name": "a", "user": {"client-key-data": "\u00e4"}}]}, "client-key-data"),
        ({"users": [{"name": "a", "user": {"client-key-data": encoded("no PEM")}}]}, "client-key-data"),
        ({"users": [{"name": ["a"], "user": {}}]}, "users[0].name"),
        ({"current-context": ""}, "current-context"),
        ({"current-context": "other"}, "current-context"),
        ({"current-context": ["x"]}, "current-context"),
        ({"kind": "List"}, "kind"),
        ({"contexts": [{"name": "a@b", "context": "x"}]}, "contexts[0].context"),
    ],
)
def test_the_error_names_the_bad_field(change: Any, named: str) -> None:
    assert named in str(refusal(kubeconfig() | change))


@pytest.mark.parametrize("content", [b"", b"7", b"[]", b"a: &x 1", b"a: [", b"\xff", b"x" * 70_000, b"<<: {a: 1}"])
def test_other_content_is_refused(content: bytes) -> None:
    assert refusal(content)


@pytest.mark.parametrize("value", ["%", "\u00e4", "A" * 100_000, "AAA"])
def test_invalid_base64_is_refused(value: str) -> None:
    with pytest.raises(RefusedAccessError, match="field value"):
        access.parse_secret(value)


@given(st.text(max_size=100), st.sampled_from(["users", "clusters"]))
def test_unknown_field_names_are_shortened_and_printable(name: str, section: str) -> None:
    document = kubeconfig()
    document[section][0][CONTENT[section]]["\x1b[31m" + name * 10] = "x"
    assert len(str(refusal(document))) < 1000


def test_credentials_are_not_in_the_repr() -> None:
    data = {"client-certificate-data": encoded(PEM), "client-key-data": encoded(PEM.replace("TUlJ", "c2VjcmV0"))}
    shown = repr(access.parse_kubeconfig(json.dumps(kubeconfig(token="hunter2", **data)).encode()))
    assert "hunter2" not in shown
    assert "c2VjcmV0" not in shown
