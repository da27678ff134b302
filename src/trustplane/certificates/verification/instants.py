"""Times in certificates: seconds since 1970, and their text in Go's messages (RFC 3339)."""

import datetime as dt
import re
from typing import NamedTuple

from trustplane.certificates.verification.der import GENERALIZED_TIME, UTC_TIME, DerReader, MalformedError

_ZONE = rb"(?:(Z)|([+-])([0-9]{2})([0-9]{2}))\Z"
_UTC = re.compile(rb"([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})?" + _ZONE)
_GENERALIZED = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})" + _ZONE)
_CYCLE_YEARS, _CYCLE_SECONDS = 400, 12_622_780_800  # the Gregorian calendar repeats every 400 years

_LAST_UTC_YEAR = 2049  # RFC 5280, section 4.1.2.5.1
_MAX_ZONE_HOURS = 24  # Go's own limit


class Instant(NamedTuple):
    """A point in time, compared by `seconds`."""

    seconds: float  # since 1970-01-01T00:00:00Z
    text: str  # RFC 3339, in its original time zone

    @classmethod
    def of(cls, time: dt.datetime) -> "Instant":
        """Convert a datetime with a zone."""
        utc = time.astimezone(dt.UTC)
        return cls(utc.timestamp(), f"{utc:%Y-%m-%dT%H:%M:%S}Z")


def read_der_time(reader: DerReader) -> Instant:
    """Read a UTCTime or GeneralizedTime. Raises MalformedError."""
    if reader.next_is(UTC_TIME):
        return _utc_time(reader.read(UTC_TIME, "x509: malformed UTCTime"))
    if reader.next_is(GENERALIZED_TIME):
        error = "x509: malformed GeneralizedTime"
        return _instant(_GENERALIZED.match(reader.read(GENERALIZED_TIME, error)), error)
    raise MalformedError("x509: unsupported time format")


def _utc_time(content: bytes) -> Instant:
    return _instant(_UTC.match(content), "x509: malformed UTCTime")


def _instant(match: re.Match[bytes] | None, error: str) -> Instant:
    if match is None:
        raise MalformedError(error)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    if len(match[1]) == 2:  # noqa: PLR2004 - digits of a UTCTime's year
        year += 2000 if year + 2000 <= _LAST_UTC_YEAR else 1900
    try:
        shifted = dt.datetime(year % _CYCLE_YEARS + 2000, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        raise MalformedError(error) from None
    cycles = (year - (year % _CYCLE_YEARS + 2000)) // _CYCLE_YEARS
    offset, zone = _zone(match, error)
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"
    return Instant(shifted.timestamp() + cycles * _CYCLE_SECONDS - offset, text)


def _zone(match: re.Match[bytes], error: str) -> tuple[int, str]:
    """Return a zone's offset in seconds and its text. UTC is written Z only."""
    _, sign, hours, minutes = match.groups()[-4:]
    if sign is None:
        return 0, "Z"
    offset = int(hours) * 3600 + int(minutes) * 60
    if not offset or int(hours) > _MAX_ZONE_HOURS or int(minutes) >= 60:  # noqa: PLR2004 - minutes of an hour
        raise MalformedError(error)
    return (-offset if sign == b"-" else offset), f"{sign.decode()}{hours.decode()}:{minutes.decode()}"
