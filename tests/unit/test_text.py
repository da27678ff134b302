import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.text import clean, marked_encoding, printable, redact

SECRET = "s3cr3tV4lue"


@pytest.mark.parametrize(
    "text",
    [
        f'Get "https://user:{SECRET}@harbor.test/v2/": EOF',
        f'Get "https://{SECRET}@harbor.test/v2/": EOF',
        f"Get https://b.s3.amazonaws.com/x?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}: EOF",
        f'Get \\"https://a.blob.core.windows.net/x?sig={SECRET}&se=1\\": EOF',
        f"mz-Expires=1&X-Amz-Signature={SECRET}",
        f"https://h/x?{SECRET}",
        f"https://h/x?{SECRET}: 403 Forbidden",
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Basic {SECRET}==",
        f"Authorization:[Basic {SECRET}]",
        f"Authorization: {SECRET}",
        f"header map[Authorization:[Bearer {SECRET}]]",
        f'invalid decoded auth: "robot:{SECRET}"',
        f'body start "{{\\"token\\":\\"{SECRET}\\"}}"',
        f'{{"access_token": "{SECRET}"}}',
        f"AuthConfig{{Username:u,Password:{SECRET},Auth:,}}",
        f"password={SECRET}",
        f"refresh_token={SECRET}&service=x",
        f"eyJhbGciOiJSUzI1NiJ9.{SECRET}.sig",
        f"crictl pull --creds admin:{SECRET} harbor.test/app:1",
        f"crictl pull --creds=admin:{SECRET} harbor.test/app:1",
        f"skopeo copy --src-creds u:{SECRET} docker://a docker://b",
        f"docker login -u admin -p {SECRET} harbor.test",
        f"docker login -u admin -p{SECRET} harbor.test",
        f"docker login -u admin --password '{SECRET}' harbor.test",
        f'docker login --username "{SECRET} x" harbor.test',
        f"curl -sk -u admin:{SECRET} https://harbor.test/v2/",
        f"curl --user admin:{SECRET} https://harbor.test/v2/",
        f"curl -uadmin:{SECRET} https://harbor.test/v2/",
        f"curl -H 'Authorization: Basic {SECRET}' https://harbor.test/v2/",
        f"kubectl create secret docker-registry r --docker-password {SECRET} --docker-server=harbor.test",
        f"machine harbor.test login admin password {SECRET}",
        f"machine harbor.test\n  login admin\n  password {SECRET}\n",
        f"  password: {SECRET}\n",
        f"robotToken: {SECRET}",
        f'{{"auths":{{"harbor.test":{{"username":"u","password":"{SECRET}","auth":"{SECRET}=="}}}}}}',
        f"docker login robot$ci:{SECRET}@harbor.test/x",
    ],
)
def test_credentials_are_hidden(text: str) -> None:
    assert SECRET not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "pull access denied, repository does not exist or may require authorization: server message: invalid",
        "unable to retrieve auth token: invalid username/password: unauthorized",
        "failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        "authorization failed: no basic auth credentials",
        'Get "https://t.test/token?scope=repository%3Aapp%3Apull&service=lab": EOF',
        'Head "https://m.test/v2/a/manifests/1?ns=docker.io": EOF',
        "h.test:5000/app:v1@sha256:0a1b: not found",
        "missing realm in bearer auth challenge",
        "docker login --password-stdin harbor.test",
        "on the node: systemctl show containerd -p Environment; journalctl -u containerd --since -1h",
        "pulling image: rpc error: code = Unknown desc = unable to retrieve auth token: invalid username/password",
    ],
)
def test_other_text_is_unchanged(text: str) -> None:
    assert redact(text) == text


def test_control_characters_are_removed() -> None:
    assert redact("a\x1b[31mred\x07\u202e") == "a [31mred  "


@given(st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert "\x1b" not in once
    assert redact(once) == once


def test_clean_text_is_one_printable_line_within_its_limit() -> None:
    text = clean(f"a\x1b]0;x\x07 \u202e b\n\tpassword={SECRET} \u2028{'x' * 100_000}", 60)
    assert text.startswith("a ]0;x b password=<hidden> xxx")
    assert text.endswith("…")
    assert len(text) == 60


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_any_text_can_be_cleaned(text: str, limit: int) -> None:
    assert clean(text, limit).isprintable()
    assert len(clean(text, limit)) <= limit


def test_printable_text_keeps_the_given_characters() -> None:
    assert printable("a\x1b[31m\n", keep="\n") == "a\\x1b[31m\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_a_byte_order_mark_names_its_encoding(encoding: str, order: str) -> None:
    content = "\ufefftext".encode(f"{encoding}-{order}")
    assert marked_encoding(content) == encoding
    assert content.decode(marked_encoding(content)) == "text"


@pytest.mark.parametrize("content", [b"", b"text", b"\xff", "\ufefftext".encode(), "text".encode("utf-16-le")])
def test_other_content_has_no_byte_order_mark(content: bytes) -> None:
    assert marked_encoding(content) == ""
