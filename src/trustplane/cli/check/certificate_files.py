"""Input files of `trustplane check` that are no manifests: PEM, DER, PKCS#7, or base64 of PEM."""

import re
from pathlib import Path

from trustplane.certificates import defects, typography
from trustplane.certificates.containers import is_keystore
from trustplane.certificates.finding import Finding
from trustplane.certificates.lint_encoding import lint_encoding, lint_pem
from trustplane.certificates.parsing import (
    BEGIN,
    Parsed,
    holds_private_key,
    innermost,
    parse,
    parse_der,
    parse_pem,
    parse_pkcs7,
    private_key_finding,
    utf_16_text,
)
from trustplane.certificates.repair import encode, read_any
from trustplane.cli.check.entries import ListedEntry, mention_fix

_DER_SEQUENCE = b"\x30"
_PRINTED = "use the entry that `trustplane check --fix` prints"


def read_certificates(name: str, content: bytes) -> ListedEntry:
    """Read a file as one entry."""
    stem = Path(name).name.rpartition(".")[0] or Path(name).name
    entry_name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "ca"
    parsed, warnings = _parse_file(content)
    repaired = read_any(content)
    findings = tuple(warnings if parsed.ok else parsed.findings)
    return ListedEntry(
        where=name,
        name=entry_name,
        parsed=parsed,
        findings=findings if parsed.ok or not repaired.ok else mention_fix(findings, _PRINTED),
        fixed=encode(repaired.certificates) if repaired.ok else None,
    )


def _parse_file(content: bytes) -> tuple[Parsed, list[Finding]]:
    """Return the certificates of a file other than a manifest, and warnings about its encoding."""
    if BEGIN in content and not holds_private_key(content) and not parse_pkcs7(content).certificates:
        parsed = parse_pem(content)
        return parsed, lint_pem(content) if parsed.ok else []
    return _parse_binary(content) or _parse_text(content)


def _parse_binary(content: bytes) -> tuple[Parsed, list[Finding]] | None:
    """Read a private key, a container or DER; None for other content."""
    if holds_private_key(content):
        return Parsed(findings=(private_key_finding(content),)), []
    if is_keystore(innermost(content)):
        return Parsed(findings=(defects.KEYSTORE,)), []
    container = parse_pkcs7(content)
    if container.certificates:
        return container, [defects.PKCS7_FILE]
    if content.startswith(_DER_SEQUENCE) and parse_der(content).ok:
        return parse_der(content), [defects.DER_FILE]
    return None


def _parse_text(content: bytes) -> tuple[Parsed, list[Finding]]:
    """Read base64, or name the reason why PEM is not readable as such."""
    if utf_16_text(content):
        return Parsed(findings=(defects.UTF_16,)), []
    if typography.has_typographic_dashes(content):
        return Parsed(findings=(defects.TYPOGRAPHIC_DASHES,)), []
    text = content.decode("latin-1").strip()
    return parse(text), lint_encoding(text)
