"""Lint how an entry is written: the oddities that Trustplane corrects, reported so nothing changes silently."""

from trustplane.certificates import defects
from trustplane.certificates.finding import Finding
from trustplane.certificates.parsing import BEGIN, CERTIFICATE_LABELS, blocks, decode


def lint_encoding(data: str) -> list[Finding]:
    """Lint the `data` of a readable entry."""
    findings = [defects.WRAPPED] if data.strip() != "".join(data.split()) else []
    return findings + lint_pem(decode(data) or b"")


def lint_pem(content: bytes) -> list[Finding]:
    """Lint readable PEM."""
    pem_blocks = list(blocks(content))
    labels = [label for label, _ in pem_blocks]
    bodies = [decode(body or b"") for label, body in pem_blocks if label in CERTIFICATE_LABELS]
    others = sorted(set(labels).difference(CERTIFICATE_LABELS))
    findings = [defects.WINDOWS_LINES] if b"\r" in content else []
    if len(bodies) > 1:
        findings.append(defects.several(len(bodies)))
    if len(set(bodies)) < len(bodies):
        findings.append(defects.REPEATED)
    if others:
        findings.append(defects.other_blocks(others))
    if _has_text_around(content, labels):
        findings.append(defects.TEXT_AROUND)
    return findings


def _has_text_around(content: bytes, labels: list[bytes]) -> bool:
    """Return whether the content has anything but white space outside the blocks."""
    before, *parts = content.split(BEGIN)
    ends = (part.rpartition(b"-----END " + label + b"-----") for part, label in zip(parts, labels, strict=True))
    return bool(before.strip()) or any(end and after.strip() for _, end, after in ends)
