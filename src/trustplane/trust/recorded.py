"""What annotations record, read as what anybody with rights in one namespace may have written there. Pure.

A record that cannot be believed counts as absent, and is written anew: one that is no JSON of its kind, is nested
without end, has a time without a zone, or a time that is yet to come.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from trustplane.api.clustertrust import (
    BOOTSTRAP,
    IN_PLACE,
    TRUST_APPLIED,
    TRUST_HINDRANCE,
    TRUST_INSPECTION,
    TRUST_PROOF,
    VERDICTS,
    AppliedTrust,
    Hindrance,
    Inspection,
    RecordedProof,
)
from trustplane.text import clean
from trustplane.trust.entries import SHORT

SKEW: Final = timedelta(minutes=5)  # by which the clock of whoever wrote a time may be ahead of ours
_MAX_JSON: Final = 256 * 1024  # characters; Kubernetes allows so many bytes for all annotations of an object
MAX_TEXT: Final = (
    32 * 1024
)  # characters of a Machine's record; 50 registries that failed with long messages take 23,000
MAX_ITEMS: Final = 200  # of one list, such as registries of one proof
MAX_WORDS: Final = 1024  # characters of one text
_MAX_NAME: Final = 253
_FIRST_YEAR: Final = 2000  # nothing of ours is older
_LAST_YEAR: Final = 9000  # so that no sum of times is beyond what a datetime can hold
_DIGEST: Final = re.compile(rf"[0-9a-f]{{{SHORT},64}}")

T = TypeVar("T")
R = TypeVar("R", AppliedTrust, Hindrance, RecordedProof, Inspection)


def read(text: str, kind: type[T], limit: int = _MAX_JSON) -> T | None:
    """Read JSON of a kind, of so many characters at most; None where it is none. Never raises."""
    if not text or len(text) > limit:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def text(record: RecordedProof | Inspection | AppliedTrust | Hindrance) -> str:
    """Return a record as it is written on a Machine. Where it would be too long to be believed, words give way.

    What is kept of a registry whose words are left out is what was decided about it. The last ones go first.
    """
    encoded = _encoded(record)
    for name, words in (("results", ("message",)), ("registries", ("reason", "next_step", "proxy"))):
        items = getattr(record, name, [])
        for keep in (len(items) // 2, len(items) // 4, 0):
            if len(encoded) <= MAX_TEXT or not items:
                break
            short = [msgspec.structs.replace(one, **dict.fromkeys(words, "")) for one in items[keep:]]
            encoded = _encoded(msgspec.structs.replace(record, **{name: [*items[:keep], *short]}))
    return encoded


def _encoded(record: RecordedProof | Inspection | AppliedTrust | Hindrance) -> str:
    return msgspec.json.encode(record).decode()


def read_time(text: str) -> datetime | None:
    """Read an RFC 3339 time; None where it is not one, has no time zone, or is in another age."""
    try:
        return _sane(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def is_digest(text: str) -> bool:
    """Tell whether it is the digest of a set, or begins one."""
    return bool(_DIGEST.fullmatch(text))


def applied(annotations: Mapping[str, str], now: datetime | None = None) -> AppliedTrust | None:
    """Return what was last written on a node; `now` is the clock's where none is given."""
    found = _believed(annotations, TRUST_APPLIED, AppliedTrust, now)
    if found is None or found.method in (BOOTSTRAP, IN_PLACE):
        return found
    return msgspec.structs.replace(found, method="")


def hindrance(annotations: Mapping[str, str], now: datetime | None = None) -> Hindrance | None:
    """Return why writing on a node failed last."""
    found = _believed(annotations, TRUST_HINDRANCE, Hindrance, now)
    return found if found and found.at and found.message else None


def proof(annotations: Mapping[str, str], now: datetime | None = None) -> RecordedProof | None:
    """Return what a node's kubelet last said."""
    found = _believed(annotations, TRUST_PROOF, RecordedProof, now)
    if found is None or found.at is None:
        return None
    return msgspec.structs.replace(found, results=[one for one in found.results if one.verdict in VERDICTS])


def inspection(annotations: Mapping[str, str], now: datetime | None = None) -> Inspection | None:
    """Return what the last look at a node's files and runtime said."""
    found = _believed(annotations, TRUST_INSPECTION, Inspection, now)
    return found if found and found.at else None


def _believed(annotations: Mapping[str, str], name: str, kind: type[R], now: datetime | None) -> R | None:
    found = read(annotations.get(name, ""), kind, MAX_TEXT)
    if found is None or not is_digest(found.digest):
        return None
    try:
        bounded: R = _bounded(found, (now or datetime.now(UTC)) + SKEW)
    except (ValueError, OverflowError):
        return None
    return bounded


def _bounded(found: Any, latest: datetime) -> Any:
    """Return what a record says with all its texts printable and of limited length, and its times in UTC.

    Raises:
        ValueError: A time has no zone, is in another age, or is later than `latest`.
    """
    if isinstance(found, str):
        return _text(found)
    if isinstance(found, datetime):
        return _past(found, latest)
    if isinstance(found, list):
        return [_bounded(one, latest) for one in found[:MAX_ITEMS]]
    if isinstance(found, msgspec.Struct):
        fields = {name: _bounded(getattr(found, name), latest) for name in found.__struct_fields__}
        return msgspec.structs.replace(found, **fields)
    return found


def _text(text: str) -> str:
    # The name of a host or a reason is left as it is: it is no sentence in which a credential could be.
    return text if len(text) <= _MAX_NAME and text.isprintable() and " " not in text else clean(text, MAX_WORDS)


def _past(at: datetime, latest: datetime) -> datetime:
    sane = _sane(at)
    if sane is None or sane > latest:
        raise ValueError
    return sane


def _sane(at: datetime) -> datetime | None:
    if at.tzinfo is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        return None
    return at.astimezone(UTC)
