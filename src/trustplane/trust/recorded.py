"""Records in annotations, validated: any tenant with rights in the namespace may have written them. Pure.

An invalid record is treated as absent and will be rewritten: it is not JSON of its kind, is nested too deeply, has a
time without a zone, or a time in the future.
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
    TRUST_INSPECTION,
    TRUST_PROOF,
    TRUST_UPDATE_ERROR,
    VERDICTS,
    AppliedTrust,
    Inspection,
    RecordedProof,
    UpdateError,
)
from trustplane.text import clean
from trustplane.trust.entries import SHORT_DIGEST_LENGTH

MAX_CLOCK_SKEW: Final = timedelta(minutes=5)  # maximum difference between two clocks
_MAX_JSON: Final = 256 * 1024  # characters; Kubernetes allows as many bytes for all annotations of an object
# Characters of a Machine's record; 50 registries that failed with long messages take 23,000.
MAX_RECORD_LENGTH: Final = 32 * 1024
MAX_RECORD_ITEMS: Final = 200  # of one list, such as the registries of a proof
MAX_RECORD_TEXT_LENGTH: Final = 1024  # characters of one text
_MAX_NAME: Final = 253
_FIRST_YEAR: Final = 2000  # Trustplane has written no older records
_LAST_YEAR: Final = 9000  # keeps sums of times within the range of datetime
_DIGEST: Final = re.compile(rf"[0-9a-f]{{{SHORT_DIGEST_LENGTH},64}}")

T = TypeVar("T")
R = TypeVar("R", AppliedTrust, UpdateError, RecordedProof, Inspection)


def decode_record(text: str, kind: type[T], limit: int = _MAX_JSON) -> T | None:
    """Decode JSON of a kind, of at most `limit` characters; return None if it is invalid. Never raises."""
    if not text or len(text) > limit:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def encode_record(record: RecordedProof | Inspection | AppliedTrust | UpdateError) -> str:
    """Encode a record for a Machine. A record above MAX_RECORD_LENGTH loses messages, those of its last items first.

    The decision about each registry stays in the record, even without its message.
    """
    encoded = _encode(record)
    for name, texts in (("results", ("message",)), ("registries", ("reason", "next_step", "proxy"))):
        items = getattr(record, name, [])
        for keep in (len(items) // 2, len(items) // 4, 0):
            if len(encoded) <= MAX_RECORD_LENGTH or not items:
                break
            short = [msgspec.structs.replace(item, **dict.fromkeys(texts, "")) for item in items[keep:]]
            encoded = _encode(msgspec.structs.replace(record, **{name: [*items[:keep], *short]}))
    return encoded


def _encode(record: RecordedProof | Inspection | AppliedTrust | UpdateError) -> str:
    return msgspec.json.encode(record).decode()


def parse_time(text: str) -> datetime | None:
    """Parse an RFC 3339 time; return None if it is invalid, has no time zone, or has an implausible year."""
    try:
        return _plausible(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def is_digest(text: str) -> bool:
    """Return whether a text is a set's digest, or at least the first SHORT_DIGEST_LENGTH digits of one."""
    return bool(_DIGEST.fullmatch(text))


def read_applied_trust(annotations: Mapping[str, str], now: datetime | None = None) -> AppliedTrust | None:
    """Return the record of the last write to a node; `now` defaults to the current time."""
    record = _read_record(annotations, TRUST_APPLIED, AppliedTrust, now)
    if record is None or record.method in (BOOTSTRAP, IN_PLACE):
        return record
    return msgspec.structs.replace(record, method="")


def read_update_error(annotations: Mapping[str, str], now: datetime | None = None) -> UpdateError | None:
    """Return the update error of a node."""
    record = _read_record(annotations, TRUST_UPDATE_ERROR, UpdateError, now)
    return record if record and record.at and record.message else None


def read_proof(annotations: Mapping[str, str], now: datetime | None = None) -> RecordedProof | None:
    """Return the record of a node's last proof."""
    record = _read_record(annotations, TRUST_PROOF, RecordedProof, now)
    if record is None or record.at is None:
        return None
    return msgspec.structs.replace(record, results=[item for item in record.results if item.verdict in VERDICTS])


def read_inspection(annotations: Mapping[str, str], now: datetime | None = None) -> Inspection | None:
    """Return the record of a node's last inspection."""
    record = _read_record(annotations, TRUST_INSPECTION, Inspection, now)
    return record if record and record.at else None


def _read_record(annotations: Mapping[str, str], name: str, kind: type[R], now: datetime | None) -> R | None:
    record = decode_record(annotations.get(name, ""), kind, MAX_RECORD_LENGTH)
    if record is None or not is_digest(record.digest):
        return None
    try:
        bounded: R = _bounded(record, (now or datetime.now(UTC)) + MAX_CLOCK_SKEW)
    except (ValueError, OverflowError):
        return None
    return bounded


def _bounded(value: Any, latest: datetime) -> Any:
    """Return a record with printable texts of limited length, limited lists, and times in UTC.

    Raises:
        ValueError: A time has no zone, has an implausible year, or is later than `latest`.
    """
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, datetime):
        return _past(value, latest)
    if isinstance(value, list):
        return [_bounded(item, latest) for item in value[:MAX_RECORD_ITEMS]]
    if isinstance(value, msgspec.Struct):
        fields = {name: _bounded(getattr(value, name), latest) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    return value


def _printable(text: str) -> str:
    # A host name or reason stays unchanged: without spaces, it is not a message that could quote a credential.
    return (
        text
        if len(text) <= _MAX_NAME and text.isprintable() and " " not in text
        else clean(text, MAX_RECORD_TEXT_LENGTH)
    )


def _past(at: datetime, latest: datetime) -> datetime:
    plausible = _plausible(at)
    if plausible is None or plausible > latest:
        raise ValueError
    return plausible


def _plausible(at: datetime) -> datetime | None:
    if at.tzinfo is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        return None
    return at.astimezone(UTC)
