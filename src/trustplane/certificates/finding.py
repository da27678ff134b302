"""What is wrong, or odd, about a list of certificates: a stable code, its weight, and the three parts of an error."""

import enum
from dataclasses import dataclass, replace


class Severity(enum.StrEnum):
    """How much a finding matters."""

    ERROR = "Error"  # the entry cannot be used; the last good set stays in force
    WARNING = "Warning"  # used as it is, yet probably not what was meant


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One observation. No part of it ever quotes certificate data or a private key."""

    code: str  # stable, for scripts and the reference
    what: str
    why: str = ""
    next_step: str = ""
    severity: Severity = Severity.ERROR
    where: str = ""  # the place in the object, such as `additionalTrustedCAs[2] (corp-root)`

    def at(self, where: str) -> "Finding":
        """Return this finding with the place where it was made."""
        return replace(self, where=where)

    def __str__(self) -> str:
        text = ". ".join(part.rstrip(".") for part in (self.what, self.why, self.next_step) if part)
        return f"{self.where}: {text}" if self.where else text


def error(code: str, what: str, why: str, next_step: str) -> Finding:
    """Return a finding because of which an entry cannot be used."""
    return Finding(code=code, what=what, why=why, next_step=next_step)


def warning(code: str, what: str, why: str, next_step: str) -> Finding:
    """Return a finding about what is used as it is, and probably not what was meant."""
    return Finding(code=code, what=what, why=why, next_step=next_step, severity=Severity.WARNING)
