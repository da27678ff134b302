import contextlib
import json
import string
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trustplane import plain_yaml
from trustplane.plain_yaml import PlainYamlError

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), max_size=20)
DATA = st.recursive(
    st.none() | st.booleans() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(DATA)
def test_json_is_parsed_unchanged(data: Any) -> None:
    assert plain_yaml.read(json.dumps(data, ensure_ascii=False).encode()) == data


@given(DATA)
def test_yaml_without_aliases_is_parsed_unchanged(data: Any) -> None:
    class Writer(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
            return True

    assert plain_yaml.read(yaml.dump(data, Dumper=Writer, allow_unicode=True).encode()) == data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 0644", {"a": "0644"}),
        ("a: 2001-99-99", {"a": "2001-99-99"}),
        (f"a: {'9' * 5000}", {"a": "9" * 5000}),
        ("a: yes\nb: ~\nc:\nd: 'null'\ne: true", {"a": "yes", "b": None, "c": None, "d": "null", "e": True}),
        ("'<<': x", {"<<": "x"}),
        ("", None),
        ("%YAML 1.1\n---\na: b", {"a": "b"}),
    ],
)
def test_scalars_stay_text(text: str, expected: Any) -> None:
    assert plain_yaml.read(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x 1", "line 1 has an anchor"),
        ("a: 1\nb: *x", "line 2 has an alias"),
        ("<<: {a: 1}", "a merge key"),
        ("a: !!python/object:os.system {}", "a tag"),
        ("a: !x b", "a tag"),
        ("? !x a\n: b", "a tag"),
        ("%TAG ! tag:example.com,2000:\n---\na: b", "%TAG"),
        ("a: 1\na: 2", "a duplicate key"),
        ("? [a]\n: b", "too many nested mappings"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: [", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("[" * 33 + "]" * 33, "too many nested mappings and sequences"),
        ("x" * (plain_yaml.MAX_BYTES + 1), "65537 bytes"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_refusals_have_a_reason(text: str | bytes, why: str) -> None:
    with pytest.raises(PlainYamlError, match=why):
        plain_yaml.read(text if isinstance(text, bytes) else text.encode())


def bomb(levels: int) -> str:
    width = 10
    lines = ["a0: &a0 {" + ", ".join(f"k{index}: v" for index in range(width)) + "}"]
    lines += [f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * width)}]}}" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(8),
        "a: [" + ",".join("b" for _ in range(350_000)) + "]",
        "[" * plain_yaml.MAX_BYTES,
        "{a: " * (plain_yaml.MAX_BYTES // 4),
        "- " * (plain_yaml.MAX_BYTES // 2),
        "? " * (plain_yaml.MAX_BYTES // 2),
        "a: [" + ",".join("b" for _ in range(32_000)) + "]",
        "a: [" + ",".join("{a: 1}" for _ in range(9_000)) + "]",
        '"' + "\\u0041" * (plain_yaml.MAX_BYTES // 6 - 1) + '"',
        "a: b\n" * (plain_yaml.MAX_BYTES // 5),
        "\n".join(f"{index}:" for index in range(9_000)),
        string.ascii_letters * (plain_yaml.MAX_BYTES // 52),
    ],
    ids=lambda text: text[:8],
)
def test_time_is_bounded(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(PlainYamlError):
        plain_yaml.read(text.encode())
    assert time.process_time() - began < 2.0  # without bounds, it takes minutes
