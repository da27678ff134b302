"""What is odd about how an entry is written. It is accepted and put right, and said, so that nothing goes silently."""

from trustplane.certificates import defects
from trustplane.certificates.finding import Finding
from trustplane.certificates.parsing import BEGIN, CERTIFICATE_LABELS, blocks, decode


def lint_encoding(data: str) -> list[Finding]:
    """Look at the `data` of an entry that can be read."""
    found = [defects.WRAPPED] if data.strip() != "".join(data.split()) else []
    return found + lint_pem(decode(data) or b"")


def lint_pem(content: bytes) -> list[Finding]:
    """Look at PEM that can be read."""
    found_blocks = list(blocks(content))
    labels = [label for label, _ in found_blocks]
    bodies = [decode(body or b"") for label, body in found_blocks if label in CERTIFICATE_LABELS]
    others = sorted(set(labels).difference(CERTIFICATE_LABELS))
    found = [defects.WINDOWS_LINES] if b"\r" in content else []
    if len(bodies) > 1:
        found.append(defects.several(len(bodies)))
    if len(set(bodies)) < len(bodies):
        found.append(defects.REPEATED)
    if others:
        found.append(defects.other_blocks(others))
    if _text_around(content, labels):
        found.append(defects.TEXT_AROUND)
    return found


def _text_around(content: bytes, labels: list[bytes]) -> bool:
    """Tell whether anything but white space stands outside of the blocks."""
    before, *parts = content.split(BEGIN)
    ends = (part.rpartition(b"-----END " + label + b"-----") for part, label in zip(parts, labels, strict=True))
    return bool(before.strip()) or any(end and after.strip() for _, end, after in ends)
