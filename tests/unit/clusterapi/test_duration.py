import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.clusterapi.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("1h2m3s", 3723),
        ("1.5h", 5400),
        ("0", 0),
        ("0s", 0),
        ("", 0),
        ("1ms", 1),
        ("1ns", 1),
        ("999999h", 2**31 - 1),
        ("5 minutes", 0),
        ("-5m", 0),
        ("5", 0),
    ],
)
def test_go_durations(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@given(st.text() | st.from_regex(r"([0-9]{1,30}(ns|us|ms|s|m|h)){1,5}", fullmatch=True))
def test_any_text_is_a_limit_that_cluster_api_takes(text: str) -> None:
    assert 0 <= parse_duration(text) < 2**31
