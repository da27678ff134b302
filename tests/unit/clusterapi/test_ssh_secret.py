import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.clusterapi.ssh_secret import MAX_LENGTH, PRIVATE_KEY, private_key
from trustplane.errors import UserError


def data(value: bytes) -> dict[str, str]:
    return {PRIVATE_KEY: base64.b64encode(value).decode()}


def test_the_key_is_decoded() -> None:
    assert private_key(data(b"a key"), "c-ssh") == "a key"
    assert private_key({}, "c-ssh") == ""


@pytest.mark.parametrize(
    "value", [data(b"\xff\xfe"), {PRIVATE_KEY: "é"}, {PRIVATE_KEY: "a"}, data(b"x" * (MAX_LENGTH + 1))]
)
def test_an_invalid_key_is_a_user_error_naming_the_secret(value: dict[str, str]) -> None:
    with pytest.raises(UserError, match="c-ssh"):
        private_key(value, "c-ssh")


@given(st.one_of(st.text(), st.binary().map(lambda value: base64.b64encode(value).decode())))
def test_any_value_is_a_key_or_a_user_error(value: str) -> None:
    with contextlib.suppress(UserError):
        assert len(private_key({PRIVATE_KEY: value}, "c-ssh")) <= MAX_LENGTH
