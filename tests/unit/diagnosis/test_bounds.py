"""Tenants control the messages of their pods, so the time to parse any of them is bounded."""

import time
from types import SimpleNamespace

import msgspec
import pytest

from trustplane.api.pod import Pod
from trustplane.diagnosis import pulls
from trustplane.diagnosis.explanation import explain
from trustplane.diagnosis.message_parser import parse_message
from trustplane.diagnosis.messages import messages_in
from trustplane.diagnosis.pulls import CauseCache, FailedPull, failing_pulls
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
def test_a_message_of_a_megabyte_is_explained_quickly(repeated: str) -> None:
    message = repeated * ((1 << 20) // len(repeated))
    start = time.process_time()
    explain(message)
    assert time.process_time() - start < 1  # second


def test_many_pods_with_long_messages_are_explained_quickly() -> None:
    causes, start = CauseCache(), time.process_time()
    for n in range(8):
        causes.cause_of(FailedPull(f"r{n}.corp/a", f"ErrImagePull: {n}{'abcdefgh'[n] * 3}" + "\\" * 32_000), ())
    assert time.process_time() - start < 3  # seconds, for all of them


def test_text_behind_more_steps_than_any_message_has_is_ignored() -> None:
    error = 'failed to do request: Head "https://r.corp/v2/": x509: certificate signed by unknown authority'
    assert parse_message("(" * 20 + error)[0].statement is not None
    assert parse_message("(" * 1000 + error)[0].statement is None


def test_the_number_of_attempts_in_a_list_is_bounded() -> None:
    assert len(parse_message("[" + "x, rpc error: code = Unknown desc = y" * 500)) == 20


def test_json_documents_take_time_in_proportion_to_their_number() -> None:
    start = time.process_time()
    assert messages_in('{"kind":"Pod"}\n' * 20_000) == []
    assert time.process_time() - start < 10  # seconds


def test_image_and_message_of_a_pull_are_bounded() -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": "x" * 100_000}}
    status = {"containerStatuses": [{"name": "c", "image": "i" * 100_000, "state": state}]}
    (pull,) = failing_pulls(msgspec.convert({"metadata": {"name": "p"}, "status": status}, Pod))
    assert len(pull.message) < 2 * MAX_INPUT
    assert len(pull.image) <= MAX_INPUT


def test_the_pulls_of_one_pod_are_bounded() -> None:
    container = {"name": "c", "image": "a.corp/b", "state": {"waiting": {"reason": "ErrImagePull", "message": "EOF"}}}
    status = {"containerStatuses": [container] * 5000, "initContainerStatuses": [container] * 5000}
    assert len(failing_pulls(msgspec.convert({"metadata": {"name": "p"}, "status": status}, Pod))) == 10


def test_varying_parts_are_replaced_only_at_the_ends_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    varying, read_characters = pulls._VARYING, [0]

    def substitute(by: str, text: str) -> str:
        read_characters[0] += len(text)
        return varying.sub(by, text)

    monkeypatch.setattr(pulls, "_VARYING", SimpleNamespace(sub=substitute))
    pull = FailedPull("a.corp/b:1", "ErrImagePull: " + "::::12" * 1350)
    assert len({pull.kind, pull.kind, pull.kind}) == 1
    assert read_characters[0] <= 2560


def test_long_messages_share_a_kind_if_only_their_ends_vary() -> None:
    def kind(*, port: int, middle: str = "x", digest: str = "0") -> bytes:
        long = f"read udp 10.0.0.1:{port}->10.0.0.2:53: {middle * 8000} sha256:{digest * 64}: EOF"
        return FailedPull("a.corp/b:1", f"ErrImagePull: {long}").kind

    assert kind(port=40001) == kind(port=51234, digest="a")
    assert kind(port=40001) != kind(port=40001, middle="y")
