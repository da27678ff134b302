"""Untrusted text (from registries, nodes, events, annotations, tenants' objects), made safe to store and to show.

Use `clean` for text recorded or shown in one line, `printable` for a terminal, and `redact` for credentials alone.

Runtimes print the signed URLs of blobs, whose query grants access to the blob. Old runtimes print decoded pull secrets.
Redact before parsing, to keep credentials out of every output.
"""

import codecs
import re
from typing import Final

HIDDEN: Final = "<hidden>"
_HIDDEN_QUERY: Final = "hidden"  # a URL has no angle brackets

MAX_INPUT: Final = 8192  # characters of a message that are processed; the kubelet's messages are far shorter

# Byte order marks, the longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Query parameters that the parsers of messages need: containerd's for mirrors, and those of token services.
_SHOWN_PARAMETERS: Final = frozenset({"ns", "scope", "service"})

_URL: Final = re.compile(r"""(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,15}://)(?P<rest>[^\s"'<>\\]+)""")
_QUERY: Final = re.compile(r"""(?<=[\w/%.~-])\?(?P<query>[^\s"'<>\\]*[^\s"'<>\\:,;)])""")
_SCHEMES: Final = re.compile(
    r"(?i)\b(?P<scheme>bearer|basic|negotiate|ntlm)\s+"
    r"(?!(?:realm|auth|authentication|authorization|tokens?|challenge|credentials)\b)[\w.~+/=-]{6,}"
)
_HEADER: Final = re.compile(
    r"""(?P<name>\bAuthorization:\s?\[?)(?!(?i:bearer|basic|negotiate|ntlm)\b)[^\s"'\\\]]{4,}"""
)
_JWT: Final = re.compile(r"\beyJ[\w=.-]{5,}")
_AWS_KEY: Final = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}")
_NAMED: Final = re.compile(
    r"""(?ix)
    (?P<name> (?: password | passwd | secret | signature | credential | api[_-]?key | accesskey (?:id)? | access_key
        | security-token | token | \bauth | authorization | \bsig ) ["'\\]{0,4}
        (?: \s?=\s? | (?<=["'\\])\s?:\s? | :(?=\S) ) ["'\\\[]{0,4} )
    (?P<value> [^\s"'\\&,;})\]<]{3,} )
    """
)
# Command lines and files that people paste together with a message.
_LONG_FLAG: Final = re.compile(
    r"(?P<name>(?<![\w-])--(?:[a-z]{1,20}-)?(?:creds|password|passwd|token)(?:=|[ \t]{1,8}))"
    r"""(?:"[^"\n]{0,400}"|'[^'\n]{0,400}'|[^\s"']{1,4096})"""
)
_CLIENT: Final = re.compile(
    r"\b(?:docker|podman|nerdctl|crictl|ctr|skopeo|buildah|helm|oras|crane|regctl|curl|wget|az|http)[ \t][^\n]{1,1000}"
)
_CLIENT_FLAG: Final = re.compile(
    r"(?P<name>(?<!\S)(?:--(?:proxy-)?user(?:name)?(?:=|[ \t]{1,8})|-[uUp](?:=|[ \t]{0,8})))"
    r"""(?:"[^"\n]{0,400}"|'[^'\n]{0,400}'|[^\s"']{1,4096})"""
)
_NETRC: Final = re.compile(r"(?P<name>\blogin\s{1,8}\S{1,200}\s{1,8}password\s{1,8})\S{1,4096}")
_YAML_FIELD: Final = re.compile(
    r"(?im)(?P<name>^[ \t-]{0,40}[\w-]{0,40}(?:password|passwd|token|secret|auth):[ \t]{1,8})"
    r"(?!<hidden>)[^\s|>{\[]\S{2,4096}[ \t]*$"
)
_DECODED: Final = re.compile(r"""(?P<name>invalid decoded auth: \\*")(?P<value>[^\n]+)""")
_USERINFO: Final = re.compile(r"(?<![\w/.@:+-])[\w.+%$-]{1,64}:(?!//)[^\s:/@\"']{1,256}@(?=[A-Za-z0-9.-]+[:/])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, limit: int) -> str:
    """Return untrusted text as one line of at most `limit` characters: redacted, printable, cut with an ellipsis."""
    line = printable(" ".join(redact(text[:MAX_INPUT]).split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def printable(text: str, keep: str = "") -> str:
    """Escape every character that a terminal could act on, except those in `keep` (such as line feeds)."""
    return "".join(
        character if character.isprintable() or character in keep else character.encode("unicode_escape").decode()
        for character in text
    )


def redact(text: str) -> str:
    """Hide credentials and replace control characters with spaces; leave everything else unchanged."""
    text = _CONTROL.sub(" ", text)
    text = _DECODED.sub(rf"\g<name>{HIDDEN}", text)
    text = _URL.sub(_without_user, text)
    text = _QUERY.sub(_redact_query, text)
    text = _SCHEMES.sub(rf"\g<scheme> {HIDDEN}", text)
    text = _HEADER.sub(rf"\g<name>{HIDDEN}", text)
    text = _CLIENT.sub(lambda match: _CLIENT_FLAG.sub(rf"\g<name>{HIDDEN}", match[0]), text)
    for pattern in (_LONG_FLAG, _NETRC, _YAML_FIELD, _NAMED):
        text = pattern.sub(rf"\g<name>{HIDDEN}", text)
    return _USERINFO.sub("", _AWS_KEY.sub(HIDDEN, _JWT.sub(HIDDEN, text)))


def _without_user(match: re.Match[str]) -> str:
    authority, slash, path = match["rest"].partition("/")
    return f"{match['scheme']}{authority.rpartition('@')[2]}{slash}{path}"


def _redact_query(match: re.Match[str]) -> str:
    shown = [parameter for parameter in match["query"].split("&") if parameter.partition("=")[0] in _SHOWN_PARAMETERS]
    return f"?{'&'.join(shown) or _HIDDEN_QUERY}"


def marked_encoding(content: bytes) -> str:
    """Return the encoding that a byte order mark of UTF-16 or UTF-32 names; empty without one."""
    return next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "")
