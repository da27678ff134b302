import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.meta import Metadata, Object
from trustplane.kube.events import event_body

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def body(name: str = "a", *, uid: str = "1", note: str = "why", warning: bool = False, now: str = "t") -> Any:
    regarding = Object(api_version="v1", kind="Secret", metadata=Metadata(name=name, namespace="ns", uid=uid))
    return event_body(regarding, "x/y", reason="R", note=note, warning=warning, action="A", now=now)


def name_of(event: Any) -> str:
    return str(event["metadata"]["name"])


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,3}", fullmatch=True))
def test_names_are_valid(name: str) -> None:
    event_name = name_of(body(name))
    assert len(event_name) <= 253
    assert NAME.fullmatch(event_name)


def test_only_a_repetition_has_the_same_name() -> None:
    assert name_of(body(now="1")) == name_of(body(now="2"))
    names = {name_of(body()), name_of(body(uid="2")), name_of(body(note="else")), name_of(body(warning=True))}
    assert len(names) == 4


@given(st.text())
def test_notes_fit(note: str) -> None:
    assert len(body(note=note * 100)["note"].encode()) <= 1024


@given(st.text())
def test_notes_are_a_single_printable_line(note: str) -> None:
    assert body(note=f"a {note}\x1b[31m\n{note}")["note"].isprintable()


def test_notes_have_no_credentials() -> None:
    note = body(note='https://robot:hunter2@harbor.corp/v2/: invalid decoded auth: "robot-hunter2"')["note"]
    assert "hunter2" not in note
    assert "harbor.corp" in note
