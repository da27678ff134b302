"""Reports of a node whose owner wants them to cost time: each is read in little of it, or refused with the reason."""

import asyncio
import base64
import contextlib
import time
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trustplane.api.clustertrust import UNREADABLE, VERIFIED
from trustplane.fleet import inspection
from trustplane.nodes import registries
from trustplane.nodes.hosts_toml import MAX_DOTS, MAX_SIZE, load_toml
from trustplane.nodes.registries import (
    MAX_CONFIGURATION,
    MAX_DIRECTORIES,
    MAX_LINES,
    RegistryDirectory,
    RegistryReport,
    assess_access,
    parse_registry_report,
)
from trustplane.nodes.ssh import CommandOutput

HOSTS = [f"{number}.corp.test" for number in range(50)]
DEEPEST = ".".join(["a"] * (MAX_DOTS + 1))
PLUGIN = "io.containerd.cri.v1.images"


def shapes(size: int) -> Mapping[str, str]:
    """Return families of TOML of a size that are, or were, slow to read."""
    return {
        "one key": ".".join(["a"] * (size // 2 - 1)) + "=1",
        "one key of texts": ".".join(['"a"'] * (size // 4 - 1)) + "=1",
        "one key with blanks": " . ".join(["a"] * (size // 4 - 1)) + "=1",
        "one table": "[" + ".".join(["a"] * (size // 2 - 2)) + "]",
        "one array of tables": "[[" + ".".join(["a"] * (size // 2 - 3)) + "]]",
        "one inline key": "a={" + ".".join(["a"] * (size // 2 - 4)) + "=1}",
        "keys of a deep table": f"[{DEEPEST}]\n{DEEPEST}=1\n" + "".join(f"{DEEPEST}{n}=1\n" for n in range(size // 42)),
        "deep tables": "".join(f"[{DEEPEST}{n}]\n" for n in range(size // 42)),
        "deep arrays of tables": f"[[{DEEPEST}]]\n" * (size // 38),
        "arrays of tables": "[[a]]\n[a.b]\n" * (size // 12),
        "inline tables": "a={" + ",".join(f"a{n}={{}}" for n in range(size // 10)) + "}",
        "nested arrays": "a=" + "[" * (size - 2),
        "many nested arrays": "a=[" + ("[" * 200 + "]" * 200 + ",") * (size // 401 - 1) + "]",
        "nested inline tables": "a=" + "{a=" * (size // 3 - 1),
        "quotes": '"' * size,
        "apostrophes": "'" * size,
        "texts that do not end": 'a="""' + '\\"""x' * (size // 5 - 2) + "\\",
        "escapes": 'a="' + "\\n" * (size // 2 - 2) + '"',
        "continued lines": 'a="""' + "\\\n" * (size // 2 - 4) + '"""',
        "digits": "a=" + "9" * (size - 2),
        "numbers": "a=[" + ("9" * 4200 + ",") * (size // 4201) + "]",
        "fraction": "a=0." + "9" * (size - 4),
        "items": "a=[" + "1," * (size // 2 - 2) + "]",
        "times": "a=[" + "1979-05-27T07:32:00.1+00:01," * (size // 28 - 1) + "]",
        "lines": "\n" * size,
        "comments": "#\n" * (size // 2),
        "one name": "a" * size,
    }


@pytest.mark.parametrize("shape", shapes(100))
def test_no_shape_of_toml_takes_long(shape: str) -> None:
    text = shapes(MAX_CONFIGURATION)[shape][:MAX_CONFIGURATION]
    before = time.process_time()
    with contextlib.suppress(ValueError):
        load_toml(text, MAX_CONFIGURATION)
    assert time.process_time() - before < 2.0  # seconds of CPU; on the same machine a quadratic one takes 3 to 9


def test_a_configuration_is_read_once_for_all_registries_and_the_reason_is_told() -> None:
    for shape, text in shapes(MAX_CONFIGURATION).items():
        report = RegistryReport(configuration=f"{text[: MAX_CONFIGURATION - 1]}\n", hosts=frozenset(HOSTS))
        before = time.process_time()
        reached = [assess_access(report, host) for host in HOSTS]
        assert time.process_time() - before < 0.5, shape  # 50 times the reading takes 2 of most shapes
        assert {one.verification for one in reached} == {UNREADABLE}
        assert all(one.reason for one in reached)
    assert (
        "it has a key of more than 16 dots"
        in assess_access(RegistryReport(configuration=f"a{'.a' * 17}=1"), HOSTS[0]).reason
    )
    assert (
        "it is too large" in assess_access(RegistryReport(configuration="#" * (MAX_CONFIGURATION + 1)), HOSTS[0]).reason
    )


TEXTS = ['"a"', "'a'", '"a.b"', "'#'", '"\\""', '"#"']
TOML = st.lists(st.sampled_from([*TEXTS, *"ab.=1 \n#'\"\\", '"""', "'''", ' = "', "=1\n", "a.b", " . "]), max_size=40)
DEEP = ".".join("abcdefghijklmnopqrst")


def depth(content: Any) -> int:
    return 1 + max(map(depth, content.values()), default=0) if isinstance(content, dict) else 0


@settings(max_examples=300)
@given(TOML, TOML, st.sampled_from([DEEP, DEEP.replace(".", " . "), DEEP.replace("c", "'c'"), DEEP[:33], DEEP[:31]]))
@example(['a="""'], ['"""'], DEEP)
@example(["a='''''"], ["'''''"], DEEP)
@example(['a="\\""\n'], ["=1"], DEEP)
@example(["a='#'\n"], ["=1"], DEEP)
@example(["a=1#'\n"], ["=1"], DEEP)
@example(['a="""\\"""', "\n"], ['"""""'], DEEP)
def test_of_what_is_toml_exactly_the_keys_of_too_many_parts_are_refused(
    head: list[str], tail: list[str], key: str
) -> None:
    text = "".join([*head, key, *tail])
    try:
        content = tomllib.loads(text)
    except ValueError:
        return
    is_deep = depth(content) > MAX_DOTS + 1
    try:
        assert load_toml(text) == content
        assert not is_deep
    except ValueError:
        assert is_deep


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ROOT = encoded("/etc/containerd/certs.d")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["", *["x"] * MAX_LINES], "too long"),
        (["\n" * 1_000_000], "too long"),
        ([" " * 8_000_000], "too long"),
        ([f"folder a.test {ROOT}"] * (MAX_DIRECTORIES + 1), "more than 8 folders"),
        ([f"toml a.test {ROOT} {encoded('#' * (MAX_SIZE + 10))}"], "more than 16384 bytes"),
        ([f"toml {host} {ROOT} {encoded('#' * MAX_SIZE)}" for host in HOSTS[:9]], "together have more than 128 KiB"),
        ([f"configuration {encoded('#' * (MAX_CONFIGURATION + 10))}"], "more than 32768 bytes"),
        ([f"variable NO_PROXY {encoded('a,' * 10_000)}"], "more than 8192 bytes"),
        ([f"root {encoded('/' * 10_000)}"], "more than 8192 bytes"),
    ],
)
def test_a_report_that_says_more_than_a_node_has_to_say_is_refused(lines: list[str], why: str) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match=why):
        parse_registry_report("\n".join([*lines, "end"]))
    assert time.process_time() - before < 0.2


class Node:
    """A node that reports something."""

    address = "192.0.2.1"

    def __init__(self, report: str) -> None:
        self._report = report

    async def run(self, _: str, **__: Any) -> CommandOutput:
        return CommandOutput(self._report, "", 0)


async def reached(lines: list[str]) -> list[Any]:
    node: Any = Node("\n".join([*lines, "end"]))
    return await inspection._reach(node, HOSTS)


async def test_others_go_between_any_two_registries_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    turns = 0

    def counted(*arguments: Any) -> Any:
        judged.append(turns)
        return assess_access(*arguments)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(registries, "access", counted)
    turning = asyncio.create_task(turn())
    await reached([])
    turning.cancel()
    assert len(set(judged)) == len(HOSTS)


async def test_what_is_beyond_a_limit_leaves_every_registry_accepted_at_most_with_the_reason() -> None:
    found = await reached(["x"] * (MAX_LINES + 1))
    assert {(one.verification, "the report is too long" in one.reason) for one in found} == {(UNREADABLE, True)}


async def test_as_much_as_a_real_node_says_is_read() -> None:
    """Fifty registries, each with two folders; a configuration twice as long as the one of containerd 2.4."""
    table = f'[plugins."{PLUGIN}".registry]\nconfig_path = "/etc/containerd/certs.d"\n'
    filler = "".join(f"[plugins.x.runtimes.r{n}.options]\nSystemdCgroup = true\n" for n in range(300))
    folder = f"{ROOT} {encoded('# ' + 'x' * 500)}"
    lines = [f"configuration {encoded(table + filler)}", f"root {ROOT}", *(f"asked {host}" for host in HOSTS)]
    found = await reached([*lines, *(f"toml {host} {folder}" for host in HOSTS * 2)])
    assert len(table + filler) > 16_000
    assert {one.verification for one in found} == {VERIFIED}


def test_a_large_file_is_no_reason_to_refuse_the_report() -> None:
    report = parse_registry_report(f"large {HOSTS[0]} {ROOT}\nend")
    assert report.directories == {HOSTS[0]: (RegistryDirectory("/etc/containerd/certs.d", None, is_large=True),)}
