"""Whoever makes pods writes their messages: reading one takes a bounded time, whatever it says."""

import time

import msgspec
import pytest

from trustplane.api.pod import Pod
from trustplane.diagnosis.explanation import explain
from trustplane.diagnosis.messages import messages_in
from trustplane.diagnosis.pulls import Causes, Pull, failing
from trustplane.diagnosis.reading import read
from trustplane.text import MAX_INPUT

HOSTILE = [
    "\\",
    "(",
    '"[',
    ", ",
    "a\n",
    ", rpc error: code = ?",
    'bearer Get "https://',
    'Get "https://a/v2/": ',
    'candidate authority certificate "',
    "unexpected status from HEAD request to https://a/v2/: ",
    "(Mirrors also failed: [",
    "]): : ",
]


@pytest.mark.parametrize("repeated", HOSTILE)
def test_a_message_of_a_megabyte_is_answered_at_once(repeated: str) -> None:
    message = repeated * ((1 << 20) // len(repeated))
    start = time.process_time()
    explain(message)
    assert time.process_time() - start < 1  # second


def test_many_pods_with_long_messages_hold_nobody_up() -> None:
    causes, start = Causes(), time.process_time()
    for n in range(8):
        causes.of(Pull(f"r{n}.corp/a", f"ErrImagePull: {n}{'abcdefgh'[n] * 3}" + "\\" * 32_000), ())
    assert time.process_time() - start < 3  # seconds, of which each is a fraction


def test_words_behind_more_steps_than_any_message_has_are_not_read() -> None:
    words = 'failed to do request: Head "https://r.corp/v2/": x509: certificate signed by unknown authority'
    assert read("(" * 20 + words)[0].statement is not None
    assert read("(" * 1000 + words)[0].statement is None


def test_no_more_tries_are_read_than_a_pod_has_secrets() -> None:
    assert len(read("[" + "x, rpc error: code = Unknown desc = y" * 500)) == 20


def test_documents_in_a_row_take_time_in_proportion_to_their_number() -> None:
    start = time.process_time()
    assert messages_in('{"kind":"Pod"}\n' * 20_000) == []
    assert time.process_time() - start < 10  # seconds


def test_what_is_kept_of_a_pod_is_bounded() -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": "x" * 100_000}}
    status = {"containerStatuses": [{"name": "c", "image": "i" * 100_000, "state": state}]}
    (pull,) = failing(msgspec.convert({"metadata": {"name": "p"}, "status": status}, Pod))
    assert len(pull.message) < 2 * MAX_INPUT
    assert len(pull.image) <= MAX_INPUT
