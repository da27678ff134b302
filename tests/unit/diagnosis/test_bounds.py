"""Whoever makes pods writes their messages: reading one takes a bounded time, whatever it says."""

import time
from types import SimpleNamespace

import msgspec
import pytest

from trustplane.api.pod import Pod
from trustplane.diagnosis import pulls
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


def test_of_a_pod_with_thousands_of_containers_some_are_kept() -> None:
    one = {"name": "c", "image": "a.corp/b", "state": {"waiting": {"reason": "ErrImagePull", "message": "EOF"}}}
    status = {"containerStatuses": [one] * 5000, "initContainerStatuses": [one] * 5000}
    assert len(failing(msgspec.convert({"metadata": {"name": "p"}, "status": status}, Pod))) == 10


def test_what_varies_is_looked_for_at_the_ends_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    varying, read_characters = pulls._VARYING, [0]

    def substitute(by: str, text: str) -> str:
        read_characters[0] += len(text)
        return varying.sub(by, text)

    monkeypatch.setattr(pulls, "_VARYING", SimpleNamespace(sub=substitute))
    one = Pull("a.corp/b:1", "ErrImagePull: " + "::::12" * 1350)
    assert len({one.kind, one.kind, one.kind}) == 1
    assert read_characters[0] <= 2560


def test_long_messages_are_alike_where_their_ends_vary_and_not_where_their_middles_differ() -> None:
    def kind(*, port: int, middle: str = "x", digest: str = "0") -> bytes:
        long = f"read udp 10.0.0.1:{port}->10.0.0.2:53: {middle * 8000} sha256:{digest * 64}: EOF"
        return Pull("a.corp/b:1", f"ErrImagePull: {long}").kind

    assert kind(port=40001) == kind(port=51234, digest="a")
    assert kind(port=40001) != kind(port=40001, middle="y")
