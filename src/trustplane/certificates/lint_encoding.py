"""What is odd about how an entry is written. It is accepted and put right, and said, so that nothing goes silently."""

import re

from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.parsing import blocks, decode

_LABEL = re.compile(rb"[A-Z0-9 ]{1,40}\Z")
_CERTIFICATES = {b"CERTIFICATE", b"X509 CERTIFICATE"}
_MAX_LABELS = 5


def lint_encoding(data: str) -> list[Finding]:
    """Look at the `data` of an entry that can be read."""
    found = [WRAPPED] if data.strip() != "".join(data.split()) else []
    return found + lint_pem(decode(data) or b"")


def lint_pem(content: bytes) -> list[Finding]:
    """Look at PEM that can be read."""
    bodies = list(blocks(content))
    found = [WINDOWS_LINES] if b"\r" in content else []
    count = sum(label in _CERTIFICATES for label, _ in bodies)
    if count > 1:
        found.append(_several(count))
    others = sorted({label for label, _ in bodies} - _CERTIFICATES)
    if others:
        found.append(_others(others))
    if _text_around(content, [label for label, _ in bodies]):
        found.append(TEXT_AROUND)
    return found


def _text_around(content: bytes, labels: list[bytes]) -> bool:
    """Tell whether anything but white space stands outside of the blocks."""
    before, *parts = content.split(b"-----BEGIN ")
    ends = (part.rpartition(b"-----END " + label + b"-----") for part, label in zip(parts, labels, strict=False))
    return bool(before.strip()) or any(end and after.strip() for _, end, after in ends)


def _several(count: int) -> Finding:
    return Finding(
        code="several-certificates",
        severity=Severity.WARNING,
        what=f"The entry holds {count} certificates",
        why="They are kept, in their order, in one file; tools that read only the first one of a file miss the others",
        next_step="Give each CA an entry of its own, and leave out certificates that the registry sends itself",
    )


def _others(labels: list[bytes]) -> Finding:
    names = [label.decode() if _LABEL.match(label) else "(unreadable label)" for label in labels[:_MAX_LABELS]]
    return Finding(
        code="other-pem-blocks",
        severity=Severity.WARNING,
        what=f"The entry also holds: {', '.join(names)}",
        why="Only certificates are brought to the nodes; the other blocks are left out",
        next_step="Remove them from the entry",
    )


WRAPPED = Finding(
    code="wrapped-base64",
    severity=Severity.WARNING,
    what="data has line breaks or blanks in it",
    why="They are taken out here; other tools that read this list may stop at the first one",
    next_step="Write the output of `base64 -w0 ca.pem` into `data`, or run `trustplane check --fix`",
)
WINDOWS_LINES = Finding(
    code="crlf",
    severity=Severity.WARNING,
    what="The PEM has the line ends of Windows (CRLF)",
    why="It is written to the nodes with plain line ends",
    next_step="Nothing, or run `trustplane check --fix`",
)
TEXT_AROUND = Finding(
    code="text-around",
    severity=Severity.WARNING,
    what="There is text outside of the certificates' blocks",
    why="Comments and bag attributes are left out on the nodes",
    next_step="Nothing, or run `trustplane check --fix`",
)
