"""Reports designed to cost time: each is parsed quickly, or rejected with a reason."""

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
from trustplane.nodes import hosts_toml, registries
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
    """Return TOML texts of one size, of each shape that is or was slow to parse."""
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
    assert time.process_time() - before < 2.0  # seconds of CPU; a quadratic parser takes 3 to 9 on the same machine


def test_a_configuration_is_parsed_once_for_all_registries_and_a_failure_has_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[str] = []

    def parse(text: str, limit: int) -> dict[str, Any]:
        parsed.append(text)
        return load_toml(text, limit)

    monkeypatch.setattr(hosts_toml, "load_toml", parse)
    for shape, text in shapes(MAX_CONFIGURATION).items():
        report = RegistryReport(configuration=f"{text[: MAX_CONFIGURATION - 1]}\n", hosts=frozenset(HOSTS))
        parsed.clear()
        before = time.process_time()
        results = [assess_access(report, host) for host in HOSTS]
        assert len(parsed) == bool(text.strip()), shape
        assert time.process_time() - before < 1.0, shape  # parsing it 50 times takes 2 for most shapes
        assert {result.verification for result in results} == {UNREADABLE}
        assert all(result.reason for result in results)
    assert (
        "it has a key with more than 16 dots"
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
def test_valid_toml_is_rejected_only_for_keys_with_too_many_parts(head: list[str], tail: list[str], key: str) -> None:
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
        ([f"folder a.test {ROOT}"] * (MAX_DIRECTORIES + 1), "more than 8 directories"),
        ([f"toml a.test {ROOT} {encoded('#' * (MAX_SIZE + 10))}"], "more than 16384 bytes"),
        ([f"toml {host} {ROOT} {encoded('#' * MAX_SIZE)}" for host in HOSTS[:9]], "together have more than 128 KiB"),
        ([f"configuration {encoded('#' * (MAX_CONFIGURATION + 10))}"], "more than 32768 bytes"),
        ([f"variable NO_PROXY {encoded('a,' * 10_000)}"], "more than 8192 bytes"),
        ([f"root {encoded('/' * 10_000)}"], "more than 8192 bytes"),
    ],
)
def test_a_report_beyond_a_limit_is_rejected(lines: list[str], why: str) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match=why):
        parse_registry_report("\n".join([*lines, "end"]))
    assert time.process_time() - before < 0.2


class Node:
    """A node with a fixed report."""

    address = "192.0.2.1"

    def __init__(self, report: str) -> None:
        self._report = report

    async def run(self, _: str, **__: Any) -> CommandOutput:
        return CommandOutput(self._report, "", 0)


async def evaluate(lines: list[str]) -> list[Any]:
    node: Any = Node("\n".join([*lines, "end"]))
    return await inspection._registry_access(node, HOSTS)


async def test_other_tasks_run_between_any_two_registries_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    iterations: list[int] = []
    count = 0

    def counted_access(*arguments: Any) -> Any:
        iterations.append(count)
        return assess_access(*arguments)

    async def count_iterations() -> None:
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(registries, "assess_access", counted_access)
    counter = asyncio.create_task(count_iterations())
    await evaluate([])
    counter.cancel()
    assert len(set(iterations)) == len(HOSTS)


async def test_a_report_beyond_a_limit_leaves_every_registry_unknown_with_the_reason() -> None:
    results = await evaluate(["x"] * (MAX_LINES + 1))
    expected = {(UNREADABLE, True)}
    assert {(result.verification, "the report is too long" in result.reason) for result in results} == expected


async def test_the_report_of_a_large_real_node_is_parsed() -> None:
    """Fifty registries with two directories each; a configuration twice as long as that of containerd 2.4."""
    table = f'[plugins."{PLUGIN}".registry]\nconfig_path = "/etc/containerd/certs.d"\n'
    filler = "".join(f"[plugins.x.runtimes.r{n}.options]\nSystemdCgroup = true\n" for n in range(300))
    folder = f"{ROOT} {encoded('# ' + 'x' * 500)}"
    lines = [f"configuration {encoded(table + filler)}", f"root {ROOT}", *(f"asked {host}" for host in HOSTS)]
    results = await evaluate([*lines, *(f"toml {host} {folder}" for host in HOSTS * 2)])
    assert len(table + filler) > 16_000
    assert {result.verification for result in results} == {VERIFIED}


def test_a_report_with_a_large_file_is_parsed() -> None:
    report = parse_registry_report(f"large {HOSTS[0]} {ROOT}\nend")
    assert report.directories == {HOSTS[0]: (RegistryDirectory("/etc/containerd/certs.d", None, is_large=True),)}
