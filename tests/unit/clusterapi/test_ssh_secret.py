import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.clusterapi.ssh_secret import MAX_PRIVATE_KEY_LENGTH, PRIVATE_KEY_FIELD, parse_private_key
from trustplane.errors import UserError


def data(value: bytes) -> dict[str, str]:
    return {PRIVATE_KEY_FIELD: base64.b64encode(value).decode()}


def test_the_key_is_decoded() -> None:
    assert parse_private_key(data(b"a key"), "c-ssh") == "a key"
    assert parse_private_key({}, "c-ssh") == ""


@pytest.mark.parametrize(
    "value",
    [data(b"\xff\xfe"), {PRIVATE_KEY_FIELD: "é"}, {PRIVATE_KEY_FIELD: "a"}, data(b"x" * (MAX_PRIVATE_KEY_LENGTH + 1))],
)
def test_what_is_no_key_is_the_users_error_and_names_the_secret(value: dict[str, str]) -> None:
    with pytest.raises(UserError, match="c-ssh"):
        parse_private_key(value, "c-ssh")


@given(st.one_of(st.text(), st.binary().map(lambda value: base64.b64encode(value).decode())))
def test_any_value_is_a_key_or_the_users_error(value: str) -> None:
    with contextlib.suppress(UserError):
        assert len(parse_private_key({PRIVATE_KEY_FIELD: value}, "c-ssh")) <= MAX_PRIVATE_KEY_LENGTH
