"""The causes that one kind of evidence leads to."""

from dataclasses import dataclass

from trustplane.diagnosis.cause import Actor, Code


@dataclass(frozen=True)
class Authority:
    """The CA that a node must trust for the pull to work.

    Attributes:
        fingerprint: SHA-256 of the certificate, hexadecimal; "" if no source has the certificate.
        subject: Its name; if no source has it, the name of the missing issuer.
        source: The source that has it, as output prints it.
        name: The entry in that source's trust list; "" if the source is not a list.
    """

    fingerprint: str
    subject: str
    source: str
    name: str = ""


@dataclass(frozen=True)
class Conclusion:
    """Causes that fit the evidence, most likely first.

    Attributes:
        codes: The causes; at least one.
        reason: Why these causes fit.
        is_certain: Whether a single code may be reported with high confidence.
        authority: The missing CA, if the cause is a missing CA.
        step: The next step, if the evidence allows a more specific one than the code does.
        actor: Who must act, if not the code's usual actor.
        reported_as: Causes that the runtime may have reported instead, because it used older roots.
    """

    codes: tuple[Code, ...]
    reason: str
    is_certain: bool = True
    authority: Authority | None = None
    step: str = ""
    actor: Actor | None = None
    reported_as: tuple[Code, ...] = ()
