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
from trustplane.kube.splitting import ExhaustedError, Identity, event_of, identity_of, list_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
DEEP = "[" * 50_000 + "]" * 50_000  # deeper than what any Python reads: 3.11 some 1,000, 3.13 some 10,000
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
    reader = splitting._Reader(json.dumps(document, indent=indent).encode())
    found = {key: json.loads(reader.value()) for key in reader.values()}
    assert found == json.loads(json.dumps(document))


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


MOST_SECONDS = 0.5  # of the processor for one answer of 2 MiB; on a machine of 2026 it takes less than 0.1
UNITS = ["[]", "{}", '""', '"",', "[", '"\\"', "{", '{"":', '"', "\\", " ", "a", '"a",', "[1,", '[""', "[[[[]]]]"]


def cost(split: Callable[[bytes], Any], text: str) -> float:
    began = time.process_time()
    with contextlib.suppress(ValueError, msgspec.MsgspecError):
        split(text.encode())
    return time.process_time() - began


def hostile(unit: str, start: str = "", end: str = "") -> Iterator[tuple[Callable[[bytes], Any], str]]:
    inner = start + unit * ((2 << 20) // len(unit)) + end
    metadata = '"metadata":{"resourceVersion":"1"}'
    yield list_of, f'{{"items":[{{"a":[{inner}]}}]}}'
    yield lambda page: list_of(page, is_last_resort=True), f'{{{metadata},"items":[{{"a":[{inner}]}}]}}'
    yield list_of, f'{{{metadata},"items":[{inner}]}}'
    yield event_of, f'{{"type":"ADDED","object":{{"metadata":{{}},"a":[{inner}]}}}}'
    yield identity_of, f'{{"metadata":{{"labels":{inner},"name":"a"}}}}'
    yield identity_of, f'{{"metadata":{inner}}}'


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("depth", [0, 2000])
def test_an_answer_blocks_for_a_bounded_time_whatever_is_in_it(unit: str, depth: int) -> None:
    for split, text in hostile(unit, "[" * depth, "]" * depth):
        assert cost(split, text) < MOST_SECONDS


@settings(max_examples=15, deadline=None)
@given(st.text(alphabet='{}[]",:\\ a1', min_size=1, max_size=30))
def test_an_answer_blocks_for_a_bounded_time_whatever_is_repeated(unit: str) -> None:
    for split, text in hostile(unit):
        assert cost(split, text) < MOST_SECONDS


@pytest.mark.skipif(not splitting._HEIGHT, reason="before Python 3.11.5 each level is a step: so many are set aside")
def test_an_object_that_an_api_server_keeps_costs_little_and_is_known() -> None:
    strange = ",".join(["[]", '""'] * 200_000)
    spec = "[" * 2000 + strange + "]" * 2000
    text = f'{{"metadata":{{"name":"a","uid":"u","resourceVersion":"7"}},"spec":{spec}}}'
    event = event_of(f'{{"type":"MODIFIED","object":{text}}}'.encode())
    assert (event.type, bytes(event.object)) == ("MODIFIED", text.encode())
    assert identity_of(event.object) == Identity("", "a", "u", "7")
    assert cost(identity_of, text) < MOST_SECONDS / 10, "only its metadata is followed"


ENDLESS = f'{{"metadata":{{"name":"a","resourceVersion":"7"}},"spec":{"[1," * 300_000}1{"]" * 300_000}}}'


def test_an_object_of_too_much_structure_hides_no_other() -> None:
    page = '{"metadata":{"resourceVersion":"9","continue":"c"},"items":[%s]}'
    with pytest.raises(ExhaustedError):
        list_of((page % f"{{}},{ENDLESS}").encode())
    found = list_of((page % ENDLESS).encode(), is_last_resort=True)
    assert (len(found.items), found.version, found.next) == (1, "9", "c")
    assert identity_of(found.items[0]) == Identity("", "a", "", "7")
    with pytest.raises(ExhaustedError):
        list_of((page % f"{DEEP},{ENDLESS}").encode(), is_last_resort=True)
    with pytest.raises(ExhaustedError):
        list_of((page % f"{DEEP},{json.dumps('x' * (5 << 20))}").encode())
    event = event_of(f'{{"type":"ADDED","object":{ENDLESS}}}'.encode())
    assert (event.type, identity_of(event.object)) == ("ADDED", Identity("", "a", "", "7"))
    with pytest.raises(ValueError, match="JSON"):
        event_of(f'{{"type":"ADDED","object":{ENDLESS[:-400_000]}'.encode().rstrip(b"]}"))
