"""The wrappers and phrases that can begin at a place of a text, by its first letter."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.template import head
from trustplane.diagnosis.vocabulary.answers import ANSWERS
from trustplane.diagnosis.vocabulary.certificates import CERTIFICATES
from trustplane.diagnosis.vocabulary.images import IMAGES
from trustplane.diagnosis.vocabulary.network import CONNECTION, DNS, HTTP
from trustplane.diagnosis.vocabulary.nodes import NODES
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary
from trustplane.diagnosis.vocabulary.tls import TLS
from trustplane.diagnosis.wrappers import WRAPPERS, Wrapper

T = TypeVar("T")
Spoken = tuple[Kind, Phrase]


def _by_letter(entries: Iterable[tuple[str, T]]) -> Mapping[str, tuple[T, ...]]:
    """Group entries by the first letter of their template; those that begin with a place belong to every letter."""
    listed = list(entries)
    letters = {head(template)[:1].lower() for template, _ in listed}
    return {
        letter: tuple(one for template, one in listed if head(template)[:1].lower() in {letter, ""})
        for letter in letters
    }


def _spoken(*vocabularies: Vocabulary) -> Mapping[str, tuple[Spoken, ...]]:
    return _by_letter((phrase.words, (each.kind, phrase)) for each in vocabularies for phrase in each.phrases)


_COMMON: Final = (CERTIFICATES, TLS, NODES, IMAGES, ANSWERS)
_OF_CONNECTIONS: Final = _spoken(*_COMMON, CONNECTION, HTTP)
_OF_LOOKUPS: Final = _spoken(DNS)
_WRAPPERS: Final = _by_letter((one.template, one) for one in WRAPPERS)


def wrappers(letter: str) -> tuple[Wrapper, ...]:
    """Return the wrappers that can begin with a letter."""
    return _at(_WRAPPERS, letter)


def phrases(letter: str, *, lookup: bool) -> tuple[Spoken, ...]:
    """Return the phrases that can begin with a letter; `lookup`: below a lookup of a name."""
    return _at(_OF_LOOKUPS if lookup else _OF_CONNECTIONS, letter)


def _at(table: Mapping[str, tuple[T, ...]], letter: str) -> tuple[T, ...]:
    return table.get(letter.lower(), table.get("", ()))
