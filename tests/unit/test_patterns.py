"""Every pattern of the package takes time in proportion to the text, whatever the text is.

Each pattern is run as the package runs it (`match` at one place, `search` at all of them) on texts that are made to
have it begin often and end late: characters of each class, and the pattern's own words, over and over.
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
FAST = 0.01  # seconds: what is done in that is not looked at more closely
SLOWEST = 2.0
# These see no more than `text.MAX_INPUT` characters.
BOUNDED = {"trustplane.proof.verdict._MIRRORS"}
METHODS = ("match", "fullmatch", "search", "sub", "split", "finditer", "findall")
CHARACTERS = ["a", "A", "z", "0", " ", "\n", "\t", "\\", '"', "'", "(", "[", "{", "<", ":", "/", ".", "-", "_"]
CHARACTERS += ["?", "&", "=", "@", "%", ",", ";", "|", "!", "+", "*", "#", "\x00", "\x1b", "é", "٣"]
FEW = ["a", "0", " ", "\\", '"', ":"]
PAIRS = ["a:", "a.", "a=", "a ", "a@", "a/", "a?", "a,", '\\"', "\\'", "/a", "?a", "\n ", "&a=", '="', "- ", ": ", "%4"]
PAIRS += ["a:b@", "://", "a://", '","', "0-", "0:", '"a', "((", "[a", "\\\\ "]


class Use(NamedTuple):
    """A pattern, and how it is run."""

    name: str
    pattern: re.Pattern[Any]
    method: str


def modules() -> Iterator[Any]:
    for one in chain(
        *(pkgutil.walk_packages(each.__path__, f"{each.__name__}.") for each in (gox509, trustplane, trustplane_local))
    ):
        if not one.name.endswith("__main__"):
            yield importlib.import_module(one.name)


def within(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from within([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset) and len(value) < 1000:
        for one in value:
            yield from within(one)


def named(module: Any) -> Iterator[Use]:
    source = Path(module.__file__).read_text()
    for name, value in vars(module).items():
        patterns = list(within(value))
        # A pattern in a list, or one that is handed on, is run at all places of a text.
        methods = re.findall(rf"\b{name}\.({'|'.join(METHODS)})\(", source) if isinstance(value, re.Pattern) else []
        for pattern in patterns:
            yield from (Use(f"{module.__name__}.{name}", pattern, one) for one in set(methods) or {"finditer"})


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
    found = [one for module in modules() for one in (*named(module), *inline(module)) if one.name not in BOUNDED]
    return list({(one.pattern, one.method): one for one in found}.values())


def words(pattern: re.Pattern[Any]) -> list[str]:
    """Return the literal words of a pattern, each run of them once."""
    found: list[str] = [""]

    def walk(tree: Iterable[Any]) -> None:
        for operation, argument in tree:
            if operation is _parser.LITERAL:
                found[-1] += chr(argument)
                continue
            for part in argument if isinstance(argument, tuple | list) else (argument,):
                if isinstance(part, _parser.SubPattern):
                    walk(part)
                elif isinstance(part, list) and part and isinstance(part[0], _parser.SubPattern):
                    for branch in part:
                        found.append("")
                        walk(branch)
            found.append("")

    walk(_parser.parse(pattern.pattern, pattern.flags))
    return [one for one in dict.fromkeys(found) if one]


def texts(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str]]:
    """Yield what is repeated, and what stands before it."""
    own = sorted(words(pattern), key=len)[-3:]
    yield from (("", one) for one in (*CHARACTERS, *PAIRS, *own, "".join(own)) if one)
    for word in own:
        yield from ((word, one) for one in FEW)
        yield from (("", word + one) for one in FEW)


def text(prefix: str, repeated: str, size: int) -> str:
    return prefix + (repeated * (size // len(repeated) + 1))[:size]


def runner(use: Use) -> Callable[[str], object]:
    run = getattr(use.pattern, use.method)
    encode = isinstance(use.pattern.pattern, bytes)

    def call(content: str) -> object:
        given = content.encode() if encode else content
        if use.method == "sub":
            return run(b"" if encode else "", given)
        found = run(given)
        return sum(1 for _ in found) if use.method == "finditer" else found

    return call


def seconds(run: Callable[[str], object], content: str, times: int = 1) -> float:
    found = []
    for _ in range(times):
        start = time.process_time()
        run(content)
        found.append(time.process_time() - start)
    return min(found)


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
def test_a_pattern_takes_time_in_proportion_to_the_text(use: Use) -> None:
    run = runner(use)
    assert next((found for one in texts(use.pattern) if (found := complaint(run, *one))), "") == ""


def test_the_words_of_programs_take_time_in_proportion_to_the_text() -> None:
    complaints = [
        f"{use.name}: {found}"
        for use in templates()
        for word in (template.literal_prefix(use.name), "")
        for one in FEW
        if (found := complaint(runner(use), word, one))
    ]
    assert complaints == []


def test_a_pattern_that_takes_longer_is_noticed() -> None:
    quadratic = Use("example", re.compile(r"name: [^b]*b"), "search")
    assert ("", "name: ") in set(texts(quadratic.pattern))
    assert complaint(runner(quadratic), "", "name: ")


@pytest.mark.parametrize("function", [redact, lambda content: clean(content, 300)], ids=["redact", "clean"])
def test_redaction_takes_time_in_proportion_to_the_text(function: Callable[[str], str]) -> None:
    own = [
        "Bearer ",
        "eyJ",
        "AKIA",
        "password=",
        "token: ",
        "Authorization: ",
        'invalid decoded auth: "',
        "https://a:b@c/",
    ]
    own += ["https://a/?sig=", 'Get "https://', "basic ", 'secret=\\\\"', "a:b@c:", "api-key"]
    repeated = [*FEW, *own, *(one + '"' for one in own)]
    assert [found for one in repeated if (found := complaint(function, "", one))] == []
