"""URIs in certificates: the ones that Go's net/url refuses, and the host it extracts.

Only the parts relevant to certificates are implemented. Text has one character per octet (Latin-1).
"""

import re
from dataclasses import dataclass

from trustplane.certificates.verification.addresses import is_address
from trustplane.certificates.verification.quoting import quote

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*(?=:)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_ENCODED = re.compile(r"%([0-9a-fA-F]{2})")
_PORT = re.compile(r"(:[0-9]*)?\Z")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*\Z")
_NOT_HOST = re.compile(r"[^A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"%\x80-\xff]")
_STRICT_COLONS = {"http", "https"}


class URIError(ValueError):
    """Go refuses a URI. The message is Go's."""


@dataclass(frozen=True)
class URI:
    """A URI: its text, and the host with port of Go's URL.Host (IPv6 in brackets), both as octets."""

    text: str
    host: str


def read_uri(text: str) -> URI:
    """Parse a URI. Raises URIError with the message of Go's url.Error."""
    before, _, fragment = text.partition("#")
    try:
        host = _host(before)
    except URIError as error:
        raise URIError(f"parse {quote(before)}: {error}") from None
    if fragment:
        try:
            _check_escapes(fragment)
        except URIError as error:
            raise URIError(f"parse {quote(text)}: {error}") from None
    return URI(text, host)


def _host(text: str) -> str:
    if _CONTROL.search(text):
        raise URIError("net/url: invalid control character in URL")
    if text == "*":
        return ""
    if text.startswith(":"):
        raise URIError("missing protocol scheme")
    match = _SCHEME.match(text)
    scheme = match[0].lower() if match else ""
    rest = text[len(scheme) + 1 :] if match else text
    rest = rest.partition("?")[0]
    if not rest.startswith("/"):
        if scheme:
            return ""
        if ":" in rest.partition("/")[0]:
            raise URIError("first path segment in URL cannot contain colon")
    host, path = "", rest
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        host, path = _authority(scheme, authority), slash + path
    _check_escapes(path)
    return host


def _authority(scheme: str, authority: str) -> str:
    user, at, host = authority.rpartition("@")
    parsed = _read_host(scheme, host)
    if at:
        if not _USER.match(user):
            raise URIError("net/url: invalid userinfo")
        for part in user.split(":", 1):
            _check_escapes(part)
    return parsed


def _read_host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise URIError("invalid IP-literal")
    if bracket == 0:
        return _literal(host)
    if ":" in host:
        colon = host.index(":") if scheme in _STRICT_COLONS else host.rindex(":")
        _check_port(host[colon:])
    return _unescape_host(host)


def _literal(host: str) -> str:
    """Parse an IPv6 literal by RFC 3986, with zones by RFC 6874."""
    close = host.rfind("]")
    if close < 0:
        raise URIError("missing ']' in host")
    port, name = host[close + 1 :], host[1:close]
    _check_port(port)
    address, zone_mark, zone = name.partition("%25")
    plain = _unescape_host(address) + (_unescape_zone(zone_mark + zone) if zone_mark else "")
    if not is_address(plain):
        raise URIError("invalid host: ParseAddr")
    if ":" not in plain.partition("%")[0]:
        raise URIError("invalid IP-literal")
    return f"[{plain}]{port}"


def _check_port(port: str) -> None:
    if not _PORT.match(port):
        raise URIError(f"invalid port {quote(port)} after host")


def _check_escapes(text: str) -> None:
    broken = _ESCAPE.search(text)
    if broken:
        raise URIError(f"invalid URL escape {quote(text[broken.start() : broken.start() + 3])}")


def _unescape_host(text: str) -> str:
    """Decode %-encoding, which a host may use only for octets beyond ASCII and for %25."""
    at = 0
    while at < len(text):
        if text[at] == "%":
            _check_escapes(text[at : at + 3])
            if text[at + 1] in "01234567" and text[at : at + 3] != "%25":
                raise URIError(f"invalid URL escape {quote(text[at : at + 3])}")
            at += 3
        elif _NOT_HOST.match(text[at]):
            raise URIError(f"invalid character {quote(text[at])} in host name")
        else:
            at += 1
    return _decode(text)


def _unescape_zone(text: str) -> str:
    for escape in _ENCODED.finditer(text):
        octet = chr(int(escape[1], 16))
        if octet not in "% " and (octet >= "\x80" or _NOT_HOST.match(octet)):
            raise URIError(f"invalid URL escape {quote(escape[0])}")
    _check_escapes(text)
    plain = _ENCODED.sub("", text)
    forbidden = _NOT_HOST.search(plain)
    if forbidden:
        raise URIError(f"invalid character {quote(forbidden[0])} in host name")
    return _decode(text)


def _decode(text: str) -> str:
    return _ENCODED.sub(lambda escape: chr(int(escape[1], 16)), text)
