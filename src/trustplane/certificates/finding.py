"""Findings about trust lists: a stable code, a severity, and the three parts of an error."""

import enum
from dataclasses import dataclass, replace


class Severity(enum.StrEnum):
    """Whether a finding makes an entry unusable."""

    ERROR = "Error"  # the entry cannot be used; the last good list stays in use
    WARNING = "Warning"  # the entry is used as written, but is probably a mistake


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding. No part of it ever quotes certificate data or a private key."""

    code: str  # stable, for scripts and the reference
    what: str
    why: str = ""
    next_step: str = ""
    severity: Severity = Severity.ERROR
    where: str = ""  # location in the object, such as `additionalTrustedCAs[2] (corp-root)`

    def at(self, where: str) -> "Finding":
        """Return this finding with its location."""
        return replace(self, where=where)

    def __str__(self) -> str:
        text = ". ".join(part.rstrip(".") for part in (self.what, self.why, self.next_step) if part)
        return f"{self.where}: {text}" if self.where else text


def error(code: str, what: str, why: str, next_step: str) -> Finding:
    """Return a finding that makes an entry unusable."""
    return Finding(code=code, what=what, why=why, next_step=next_step)


def warning(code: str, what: str, why: str, next_step: str) -> Finding:
    """Return a finding about an entry that is used as written, but is probably a mistake."""
    return Finding(code=code, what=what, why=why, next_step=next_step, severity=Severity.WARNING)
