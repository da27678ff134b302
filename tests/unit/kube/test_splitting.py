import contextlib
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube import splitting
from trustplane.kube.splitting import Identity, event_of, identity_of, list_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
DEEP = "[" * 2000 + "]" * 2000
INDENTS = st.sampled_from([None, 1])


def nest(depth: int) -> str:
    return "[" * depth + "]" * depth


@given(st.lists(JSON, max_size=4), st.text(max_size=5), INDENTS)
def test_a_list_with_a_deep_object_is_split_as_one_without(items: list[Any], token: str, indent: int | None) -> None:
    texts = [json.dumps(one, indent=indent) for one in items]
    metadata = json.dumps({"resourceVersion": "7", "continue": token}, indent=indent)
    page = f'{{"kind":"X", "items" : [{" , ".join([*texts, DEEP])}] ,"metadata":{metadata}}}'
    found = list_of(page.encode())
    assert [bytes(one).decode() for one in found.items] == [*texts, DEEP]
    assert (found.version, found.next) == ("7", token)


@given(JSON, INDENTS)
def test_members_are_those_that_a_decoder_finds(value: Any, indent: int | None) -> None:
    document = {"a": value, 'b\n"]}': [value], "": 1}
    parts = splitting._members(json.dumps(document, indent=indent).encode())
    assert {key: json.loads(part) for key, part in parts.items()} == json.loads(json.dumps(document))


@pytest.mark.parametrize("depth", [1, 100, 900, 980, 1000, 2000, 5000, 10_000])
def test_lists_events_and_names_of_any_depth(depth: int) -> None:
    metadata = '{"name":"x","namespace":"evil","uid":"1","resourceVersion":"5"}'
    text = f'{{"metadata":{metadata},"spec":{nest(depth)}}}'
    page = f'{{"metadata":{{"resourceVersion":"9"}},"items":[{text},{{}}]}}'
    assert [bytes(one) for one in list_of(page.encode()).items] == [text.encode(), b"{}"]
    event = event_of(f'{{"type":"ADDED","object":{text}}}'.encode())
    assert (event.type, bytes(event.object)) == ("ADDED", text.encode())
    for end in (len(text) // 2, len(text) - 1):
        with pytest.raises(ValueError, match="JSON"):
            event_of(f'{{"type":"ADDED","object":{text[:end]}'.encode())
    assert identity_of(event.object) == Identity("evil", "x", "1", "5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"metadata":{"name":"a","namespace":7,"uid":"u","resourceVersion":"2"}}', Identity("", "a", "u", "2")),
        ('{"metadata":{"name":"a","labels":' + DEEP + ',"resourceVersion":"2"}}', Identity("", "a", "", "2")),
        ('{"metadata":{"name":"\\ud800","resourceVersion":"2"}}', Identity("", "", "", "2")),
        ('{"metadata":7}', Identity("", "", "", "")),
        ("{}", Identity("", "", "", "")),
        ("[]", Identity("", "", "", "")),
        ("", Identity("", "", "", "")),
    ],
)
def test_of_a_strange_object_as_much_is_known_as_can_be(text: str, expected: Identity) -> None:
    assert identity_of(text.encode()) == expected


@given(st.text(alphabet='{}[]",:\\ a1', max_size=40))
def test_nonsense_ends(text: str) -> None:
    identity_of(text.encode())
    for split in (list_of, event_of):
        with contextlib.suppress(ValueError, msgspec.MsgspecError):
            split(text.encode())


@pytest.mark.parametrize("unit", ["[", '"\\"', "{", '{"":', '"', "[]", "\\", " ", "a", '"a",'])
def test_time_is_linear(unit: str) -> None:
    text = ('{"metadata":' + unit * ((1 << 20) // len(unit))).encode()
    began = time.process_time()
    with contextlib.suppress(ValueError):
        splitting._members(text)
    assert time.process_time() - began < 5.0  # what is quadratic takes an hour
