"""Every pattern of the packages takes linear time on every text.

Each pattern runs as the packages run it (`match` at one position, `search` at every position), on texts in which it
begins to match often and fails late: repeated characters of each class, and repeated literals of the pattern.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

import gox509
import trustplane
import trustplane_local
from trustplane.diagnosis import template
from trustplane.diagnosis.index import _COMMON
from trustplane.diagnosis.statuses import STATUSES
from trustplane.diagnosis.vocabulary.network import CONNECTION, DNS, HTTP
from trustplane.diagnosis.wrappers import WRAPPERS
from trustplane.text import clean, redact

SMALL, LARGE = 4 << 10, 32 << 10  # characters
FAST = 0.01  # seconds; faster runs are not measured again
SLOWEST = 2.0
# These run on at most `text.MAX_INPUT` characters.
BOUNDED = {"trustplane.proof.verdict._MIRRORS"}
METHODS = ("match", "fullmatch", "search", "sub", "split", "finditer", "findall")
CHARACTERS = ["a", "A", "z", "0", " ", "\n", "\t", "\\", '"', "'", "(", "[", "{", "<", ":", "/", ".", "-", "_"]
CHARACTERS += ["?", "&", "=", "@", "%", ",", ";", "|", "!", "+", "*", "#", "\x00", "\x1b", "é", "٣"]
FEW = ["a", "0", " ", "\\", '"', ":"]
PAIRS = ["a:", "a.", "a=", "a ", "a@", "a/", "a?", "a,", '\\"', "\\'", "/a", "?a", "\n ", "&a=", '="', "- ", ": ", "%4"]
PAIRS += ["a:b@", "://", "a://", '","', "0-", "0:", '"a', "((", "[a", "\\\\ "]


class Use(NamedTuple):
    """A pattern, and the method that runs it."""

    name: str
    pattern: re.Pattern[Any]
    method: str


def modules() -> Iterator[Any]:
    packages = (gox509, trustplane, trustplane_local)
    for module in chain(*(pkgutil.walk_packages(each.__path__, f"{each.__name__}.") for each in packages)):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from patterns_in([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset) and len(value) < 1000:
        for item in value:
            yield from patterns_in(item)


def named(module: Any) -> Iterator[Use]:
    source = Path(module.__file__).read_text()
    for name, value in vars(module).items():
        patterns = list(patterns_in(value))
        # A pattern in a collection, or passed to another function, is treated as a search at every position.
        methods = re.findall(rf"\b{name}\.({'|'.join(METHODS)})\(", source) if isinstance(value, re.Pattern) else []
        for pattern in patterns:
            yield from (Use(f"{module.__name__}.{name}", pattern, method) for method in set(methods) or {"finditer"})


def inline(module: Any) -> Iterator[Use]:
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        is_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.func.attr in METHODS
        pattern = node.args[0]
        if is_re and isinstance(pattern, ast.Constant):
            flags = re.MULTILINE if "MULTILINE" in ast.dump(node) else 0
            yield Use(f"{module.__name__}:{node.lineno}", re.compile(pattern.value, flags), node.func.attr)


def templates() -> Iterator[Use]:
    phrases = [phrase.template for each in (*_COMMON, CONNECTION, HTTP, DNS) for phrase in each.phrases]
    for text in dict.fromkeys((*phrases, *STATUSES)):
        yield Use(text, template.compile_template(text), "match")
    for wrapper in WRAPPERS:
        yield Use(wrapper.template, template.compile_wrapper(wrapper.template), "match")


def uses() -> list[Use]:
    all_uses = (use for module in modules() for use in (*named(module), *inline(module)) if use.name not in BOUNDED)
    return list({(use.pattern, use.method): use for use in all_uses}.values())


def literals(pattern: re.Pattern[Any]) -> list[str]:
    """Return the literal parts of a pattern, without duplicates."""
    parts: list[str] = [""]

    def walk(tree: Iterable[Any]) -> None:
        for operation, argument in tree:
            if operation is _parser.LITERAL:
                parts[-1] += chr(argument)
                continue
            for part in argument if isinstance(argument, tuple | list) else (argument,):
                if isinstance(part, _parser.SubPattern):
                    walk(part)
                elif isinstance(part, list) and part and isinstance(part[0], _parser.SubPattern):
                    for branch in part:
                        parts.append("")
                        walk(branch)
            parts.append("")

    walk(_parser.parse(pattern.pattern, pattern.flags))
    return [part for part in dict.fromkeys(parts) if part]


def texts(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a prefix and a repeated part."""
    longest = sorted(literals(pattern), key=len)[-3:]
    yield from (("", repeated) for repeated in (*CHARACTERS, *PAIRS, *longest, "".join(longest)) if repeated)
    for literal in longest:
        yield from ((literal, character) for character in FEW)
        yield from (("", literal + character) for character in FEW)


def text(prefix: str, repeated: str, size: int) -> str:
    return prefix + (repeated * (size // len(repeated) + 1))[:size]


def runner(use: Use) -> Callable[[str], object]:
    run = getattr(use.pattern, use.method)
    encode = isinstance(use.pattern.pattern, bytes)

    def call(content: str) -> object:
        subject = content.encode() if encode else content
        if use.method == "sub":
            return run(b"" if encode else "", subject)
        result = run(subject)
        return sum(1 for _ in result) if use.method == "finditer" else result

    return call


def seconds(run: Callable[[str], object], content: str, times: int = 1) -> float:
    times_taken = []
    for _ in range(times):
        start = time.process_time()
        run(content)
        times_taken.append(time.process_time() - start)
    return min(times_taken)


def complaint(run: Callable[[str], object], prefix: str, repeated: str) -> str:
    large = text(prefix, repeated, LARGE)
    if (slow := seconds(run, large)) <= FAST:
        return ""
    quick = seconds(run, text(prefix, repeated, SMALL), 3)
    slow = slow if slow > SLOWEST else min(slow, seconds(run, large, 2))
    if slow < SLOWEST and slow <= max(16 * quick, 3 * FAST):
        return ""
    return f"{prefix!r} and then {repeated!r}: {slow:.3f} s, {quick:.3f} s for an eighth"


@pytest.mark.parametrize("use", uses(), ids=lambda use: f"{use.name}-{use.method}")
def test_a_pattern_takes_linear_time(use: Use) -> None:
    run = runner(use)
    assert next((slow for pair in texts(use.pattern) if (slow := complaint(run, *pair))), "") == ""


def test_templates_of_messages_take_linear_time() -> None:
    complaints = [
        f"{use.name}: {slow}"
        for use in templates()
        for prefix in (template.literal_prefix(use.name), "")
        for character in FEW
        if (slow := complaint(runner(use), prefix, character))
    ]
    assert complaints == []


def test_a_quadratic_pattern_is_detected() -> None:
    quadratic = Use("example", re.compile(r"name: [^b]*b"), "search")
    assert ("", "name: ") in set(texts(quadratic.pattern))
    assert complaint(runner(quadratic), "", "name: ")


@pytest.mark.parametrize("function", [redact, lambda content: clean(content, 300)], ids=["redact", "clean"])
def test_redaction_takes_linear_time(function: Callable[[str], str]) -> None:
    secrets = [
        "Bearer ",
        "eyJ",
        "AKIA",
        "password=",
        "token: ",
        "Authorization: ",
        'invalid decoded auth: "',
        "https://a:b@c/",
    ]
    secrets += ["https://a/?sig=", 'Get "https://', "basic ", 'secret=\\\\"', "a:b@c:", "api-key"]
    repeated = [*FEW, *secrets, *(secret + '"' for secret in secrets)]
    assert [slow for part in repeated if (slow := complaint(function, "", part))] == []
