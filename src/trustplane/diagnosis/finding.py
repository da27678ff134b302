"""What one kind of evidence says about the cause of a failed pull."""

from dataclasses import dataclass

from trustplane.diagnosis.cause import Actor, Code


@dataclass(frozen=True)
class Authority:
    """The CA with which the pull would work.

    Attributes:
        fingerprint: SHA-256 of the certificate, hexadecimal; "" where nobody has it.
        subject: Its name; where nobody has it, the name of the issuer that is looked for.
        where: Who has it, in words.
        name: Of the entry that has it, "" where it is none of a list.
    """

    fingerprint: str
    subject: str
    where: str
    name: str = ""


@dataclass(frozen=True)
class Finding:
    """Causes that fit the evidence, most likely first.

    Attributes:
        codes: At least one.
        reason: Why these.
        is_certain: Whether a single code of these may be claimed.
        authority: The CA that would mend it, where it is about one.
        step: What to do, where more is known than the code says.
        actor: Who must act, where that is somebody else than the code says.
        told_as: What else a runtime's words may say of it: what it met with the roots that it had.
    """

    codes: tuple[Code, ...]
    reason: str
    is_certain: bool = True
    authority: Authority | None = None
    step: str = ""
    actor: Actor | None = None
    told_as: tuple[Code, ...] = ()
