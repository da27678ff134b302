"""The login of a Secret that the kubelet uses for an image."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.diagnosis.credentials import CONFIG, CONFIG_JSON, assess_secret
from trustplane.diagnosis.evidence import SecretState

LOGIN = {"auth": base64.b64encode(b"robot:never-to-be-shown").decode()}


def data(value: object, key: str = ".dockerconfigjson") -> dict[str, str]:
    return {key: base64.b64encode(json.dumps(value).encode()).decode()}


def state(host: str, image: str) -> SecretState:
    return assess_secret(CONFIG_JSON, data({"auths": {host: LOGIN}}), image)[0]


@pytest.mark.parametrize(
    ("host", "image"),
    [
        ("harbor.corp", "harbor.corp/app:1"),
        ("https://harbor.corp", "harbor.corp/app:1"),
        ("https://harbor.corp/v2/", "harbor.corp/app:1"),
        ("harbor.corp:8443", "harbor.corp:8443/app:1"),
        ("harbor.corp/team", "harbor.corp/team/app:1"),
        ("*.corp", "harbor.corp/app:1"),
        ("HARBOR.corp", "harbor.corp/app:1"),
        ("https://index.docker.io/v1/", "docker.io/corp/app:1"),
    ],
)
def test_logins_that_the_kubelet_uses(host: str, image: str) -> None:
    assert state(host, image) is SecretState.USABLE


@pytest.mark.parametrize(
    ("host", "image"),
    [
        ("harbor.corp", "harbor.corp:8443/app:1"),
        ("harbor.corp:8443", "harbor.corp/app:1"),
        ("harbor.corp/team", "harbor.corp/other/app:1"),
        ("*.corp", "a.harbor.corp/app:1"),
        ("quay.io", "docker.io/corp/app:1"),
    ],
)
def test_logins_that_the_kubelet_ignores(host: str, image: str) -> None:
    assert state(host, image) is SecretState.NO_KEY


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("Opaque", data({"auths": {"harbor.corp": LOGIN}}), SecretState.WRONG_TYPE),
        ("", {}, SecretState.WRONG_TYPE),
        (CONFIG_JSON, {}, SecretState.MALFORMED),
        (CONFIG_JSON, {".dockerconfigjson": "%%%"}, SecretState.MALFORMED),
        (CONFIG_JSON, data({"harbor.corp": LOGIN}), SecretState.MALFORMED),
        (CONFIG_JSON, data([]), SecretState.MALFORMED),
        (CONFIG_JSON, data({"auths": {"harbor.corp": {"auth": ""}}}), SecretState.MALFORMED),
        (CONFIG_JSON, data({"auths": {"harbor.corp": {"username": "a", "password": "b"}}}), SecretState.USABLE),
        (CONFIG, data({"harbor.corp": LOGIN}, ".dockercfg"), SecretState.USABLE),
    ],
)
def test_types_and_contents(kind: str, content: dict[str, str], expected: SecretState) -> None:
    assert assess_secret(kind, content, "harbor.corp/app:1")[0] is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.text(max_size=40))
def test_any_secret_gets_an_answer(value: object, image: str) -> None:
    assess_secret(CONFIG_JSON, data(value), image)
    assess_secret(CONFIG_JSON, data({"auths": value}), image)
    assess_secret(CONFIG_JSON, data({"auths": {"harbor.corp": value}}), "harbor.corp/app:1")


@given(st.text(min_size=6, alphabet="abcdef0123456789"), st.sampled_from(["harbor.corp", "other.corp"]))
def test_no_password_is_shown(password: str, host: str) -> None:
    auth = base64.b64encode(f"robot:{password}".encode()).decode()
    value = data({"auths": {f"https://robot:{password}@{host}": {"auth": auth, "password": password}}})
    _, detail = assess_secret(CONFIG_JSON, value, "harbor.corp/app:1")
    assert password not in detail
    assert auth not in detail
