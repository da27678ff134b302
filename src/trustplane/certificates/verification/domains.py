"""Domain names and mailboxes in certificates, by the rules of Go's crypto/x509.

A name is a `str` with one character per octet of the certificate (Latin-1), because Go works on octets.
"""

import re
import string
from typing import NamedTuple

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_VISIBLE = re.compile(r"[!-~]*\Z")
_QUOTED_PAIR = re.compile(r"[\x01-\x09\x0b\x0c\x0e-\x7f]")
_QUOTED_TEXT = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]")
_ATOM = re.compile(r"[0-9a-zA-Z!#$%&'*+\-/=?^_`{|}~.]")


class Mailbox(NamedTuple):
    """An email address. Case matters in the local part, not in the domain."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def lower_ascii(name: str) -> str:
    """Convert ASCII letters to lower case, and nothing else."""
    return name.translate(_LOWER)


def is_domain(name: str, *, constraint: bool = False) -> bool:
    """Return whether Go accepts a domain name. The empty name passes; a constraint may begin with a dot."""
    if not name:
        return True
    if name.endswith(".") or not _VISIBLE.match(name):
        return False
    labels = name[constraint and name[0] == "." :].split(".")
    return all(labels)


def read_mailbox(text: str) -> Mailbox | None:
    """Parse an email address by the ABNF of RFC 2821, section 4.1.2, with the errata of RFC 3696 that Go applies."""
    parts = _quoted_local(text) if text.startswith('"') else _plain_local(text)
    if parts is None:
        return None
    local, rest = parts
    if not rest.startswith("@"):
        return None
    domain = rest[1:]
    if domain and (not _VISIBLE.match(domain) or not all(domain.split("."))):
        return None
    return Mailbox(local, domain)


def _quoted_local(text: str) -> tuple[str, str] | None:
    """Parse a quoted string. Return its content and the text after it."""
    local, at = [], 1
    while at < len(text) and text[at] != '"':
        escaped = text[at] == "\\"
        at += escaped
        allowed = _QUOTED_PAIR if escaped else _QUOTED_TEXT
        if at >= len(text) or not allowed.match(text[at]):
            return None
        local.append(text[at])
        at += 1
    return ("".join(local), text[at + 1 :]) if at < len(text) else None


def _plain_local(text: str) -> tuple[str, str] | None:
    """Parse atoms separated by dots. Outside a quoted string, a backslash may escape any octet."""
    local, at = [], 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
            if at >= len(text):
                return None
        elif not _ATOM.match(text[at]):
            break
        local.append(text[at])
        at += 1
    name = "".join(local)
    if not name or name.startswith(".") or name.endswith(".") or ".." in name:
        return None
    return name, text[at:]
