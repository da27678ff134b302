"""Lookup of the wrappers and phrases that can begin at a position in a text, by the first letter there."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.template import literal_prefix
from trustplane.diagnosis.vocabulary.answers import ANSWERS
from trustplane.diagnosis.vocabulary.certificates import CERTIFICATES
from trustplane.diagnosis.vocabulary.images import IMAGES
from trustplane.diagnosis.vocabulary.network import CONNECTION, DNS, HTTP
from trustplane.diagnosis.vocabulary.nodes import NODES
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary
from trustplane.diagnosis.vocabulary.tls import TLS
from trustplane.diagnosis.wrappers import WRAPPERS, Wrapper

T = TypeVar("T")
KindPhrase = tuple[Kind, Phrase]


def _by_letter(entries: Iterable[tuple[str, T]]) -> Mapping[str, tuple[T, ...]]:
    """Group entries by the first letter of their template; one that begins with a place is in every group."""
    templates = [(literal_prefix(template)[:1].lower(), entry) for template, entry in entries]
    letters = {first for first, _ in templates}
    return {letter: tuple(entry for first, entry in templates if first in {letter, ""}) for letter in letters}


def _phrases_by_letter(*vocabularies: Vocabulary) -> Mapping[str, tuple[KindPhrase, ...]]:
    return _by_letter((phrase.template, (each.kind, phrase)) for each in vocabularies for phrase in each.phrases)


_COMMON: Final = (CERTIFICATES, TLS, NODES, IMAGES, ANSWERS)
_CONNECTION_PHRASES: Final = _phrases_by_letter(*_COMMON, CONNECTION, HTTP)
_LOOKUP_PHRASES: Final = _phrases_by_letter(DNS)
_WRAPPERS: Final = _by_letter((wrapper.template, wrapper) for wrapper in WRAPPERS)


def wrappers_for(letter: str) -> tuple[Wrapper, ...]:
    """Return the wrappers that can begin with a letter."""
    return _entries(_WRAPPERS, letter)


def phrases_for(letter: str, *, is_lookup: bool) -> tuple[KindPhrase, ...]:
    """Return the phrases that can begin with a letter, below a DNS lookup or anywhere else."""
    return _entries(_LOOKUP_PHRASES if is_lookup else _CONNECTION_PHRASES, letter)


def _entries(table: Mapping[str, tuple[T, ...]], letter: str) -> tuple[T, ...]:
    return table.get(letter.lower(), table.get("", ()))
