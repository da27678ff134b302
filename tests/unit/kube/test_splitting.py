import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustplane.kube import splitting
from trustplane.kube.splitting import ExhaustedError, Identity, read_identity, split_event, split_list

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
DEEP = "[" * 50_000 + "]" * 50_000  # beyond every Python's recursion limit: 3.11 about 1,000, 3.13 about 10,000
INDENTS = st.sampled_from([None, 1])


def nest(depth: int) -> str:
    return "[" * depth + "]" * depth


@given(st.lists(JSON, max_size=4), st.text(max_size=5), INDENTS)
def test_a_list_with_a_deep_object_is_split_correctly(items: list[Any], token: str, indent: int | None) -> None:
    texts = [json.dumps(item, indent=indent) for item in items]
    metadata = json.dumps({"resourceVersion": "7", "continue": token}, indent=indent)
    page = f'{{"kind":"X", "items" : [{" , ".join([*texts, DEEP])}] ,"metadata":{metadata}}}'
    split = split_list(page.encode())
    assert [bytes(item).decode() for item in split.items] == [*texts, DEEP]
    assert (split.version, split.next) == ("7", token)


@given(JSON, INDENTS)
def test_members_match_those_of_a_decoder(value: Any, indent: int | None) -> None:
    document = {"a": value, 'b\n"]}': [value], "": 1}
    reader = splitting._Reader(json.dumps(document, indent=indent).encode())
    members = {key: json.loads(reader.value()) for key in reader.values()}
    assert members == json.loads(json.dumps(document))


@pytest.mark.parametrize("depth", [1, 100, 900, 980, 1000, 2000, 5000, 10_000])
def test_lists_events_and_names_of_any_depth(depth: int) -> None:
    metadata = '{"name":"x","namespace":"evil","uid":"1","resourceVersion":"5"}'
    text = f'{{"metadata":{metadata},"spec":{nest(depth)}}}'
    page = f'{{"metadata":{{"resourceVersion":"9"}},"items":[{text},{{}}]}}'
    assert [bytes(item) for item in split_list(page.encode()).items] == [text.encode(), b"{}"]
    event = split_event(f'{{"type":"ADDED","object":{text}}}'.encode())
    assert (event.type, bytes(event.object)) == ("ADDED", text.encode())
    for end in (len(text) // 2, len(text) - 1):
        with pytest.raises(ValueError, match="JSON"):
            split_event(f'{{"type":"ADDED","object":{text[:end]}'.encode())
    assert read_identity(event.object) == Identity("evil", "x", "1", "5")


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
def test_the_identity_of_a_malformed_object_is_read_as_far_as_possible(text: str, expected: Identity) -> None:
    assert read_identity(text.encode()) == expected


@given(st.text(alphabet='{}[]",:\\ a1', max_size=40))
def test_splitting_nonsense_terminates(text: str) -> None:
    read_identity(text.encode())
    for split in (split_list, split_event):
        with contextlib.suppress(ValueError, msgspec.MsgspecError):
            split(text.encode())


MOST_SECONDS = 0.5  # CPU time for a response of 2 MiB; below 0.1 on a machine of 2026
UNITS = ["[]", "{}", '""', '"",', "[", '"\\"', "{", '{"":', '"', "\\", " ", "a", '"a",', "[1,", '[""', "[[[[]]]]"]


def cost(split: Callable[[bytes], Any], text: str) -> float:
    began = time.process_time()
    with contextlib.suppress(ValueError, msgspec.MsgspecError):
        split(text.encode())
    return time.process_time() - began


def hostile(unit: str, start: str = "", end: str = "") -> Iterator[tuple[Callable[[bytes], Any], str]]:
    inner = start + unit * ((2 << 20) // len(unit)) + end
    metadata = '"metadata":{"resourceVersion":"1"}'
    yield split_list, f'{{"items":[{{"a":[{inner}]}}]}}'
    yield lambda page: split_list(page, is_last_resort=True), f'{{{metadata},"items":[{{"a":[{inner}]}}]}}'
    yield split_list, f'{{{metadata},"items":[{inner}]}}'
    yield split_event, f'{{"type":"ADDED","object":{{"metadata":{{}},"a":[{inner}]}}}}'
    yield read_identity, f'{{"metadata":{{"labels":{inner},"name":"a"}}}}'
    yield read_identity, f'{{"metadata":{inner}}}'


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("depth", [0, 2000])
def test_splitting_any_response_takes_bounded_time(unit: str, depth: int) -> None:
    for split, text in hostile(unit, "[" * depth, "]" * depth):
        assert cost(split, text) < MOST_SECONDS


@settings(max_examples=15, deadline=None)
@given(st.text(alphabet='{}[]",:\\ a1', min_size=1, max_size=30))
def test_splitting_any_repetition_takes_bounded_time(unit: str) -> None:
    for split, text in hostile(unit):
        assert cost(split, text) < MOST_SECONDS


@pytest.mark.skipif(not splitting._HEIGHT, reason="before Python 3.11.5 each level is a step: too many here")
def test_an_object_that_an_api_server_stores_is_cheap_to_identify() -> None:
    strange = ",".join(["[]", '""'] * 200_000)
    spec = "[" * 2000 + strange + "]" * 2000
    text = f'{{"metadata":{{"name":"a","uid":"u","resourceVersion":"7"}},"spec":{spec}}}'
    event = split_event(f'{{"type":"MODIFIED","object":{text}}}'.encode())
    assert (event.type, bytes(event.object)) == ("MODIFIED", text.encode())
    assert read_identity(event.object) == Identity("", "a", "u", "7")
    assert cost(read_identity, text) < MOST_SECONDS / 10, "only its metadata is read"


ENDLESS = f'{{"metadata":{{"name":"a","resourceVersion":"7"}},"spec":{"[1," * 300_000}1{"]" * 300_000}}}'


def test_an_object_with_too_much_structure_hides_no_other() -> None:
    page = '{"metadata":{"resourceVersion":"9","continue":"c"},"items":[%s]}'
    with pytest.raises(ExhaustedError):
        split_list((page % f"{{}},{ENDLESS}").encode())
    split = split_list((page % ENDLESS).encode(), is_last_resort=True)
    assert (len(split.items), split.version, split.next) == (1, "9", "c")
    assert read_identity(split.items[0]) == Identity("", "a", "", "7")
    with pytest.raises(ExhaustedError):
        split_list((page % f"{DEEP},{ENDLESS}").encode(), is_last_resort=True)
    with pytest.raises(ExhaustedError):
        split_list((page % f"{DEEP},{json.dumps('x' * (5 << 20))}").encode())
    event = split_event(f'{{"type":"ADDED","object":{ENDLESS}}}'.encode())
    assert (event.type, read_identity(event.object)) == ("ADDED", Identity("", "a", "", "7"))
    with pytest.raises(ValueError, match="JSON"):
        split_event(f'{{"type":"ADDED","object":{ENDLESS[:-400_000]}'.encode().rstrip(b"]}"))
