"""Go's `%q`, which its error messages use to quote text."""

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_ESCAPES |= {'"': '\\"', "\\": "\\\\"}
_DELETE = 0x7F
_BASIC_PLANE = 0x10000


_STRAY_OCTETS = range(0xDC80, 0xDD00)  # octets that are not UTF-8, in `surrogateescape`


def quote(text: str) -> str:
    """Quote text as Go's strconv.Quote does. Octets that are not UTF-8 are expected in `surrogateescape`."""
    return f'"{"".join(map(_escape, text))}"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    point = ord(character)
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    if point < ord(" ") or point == _DELETE or point in _STRAY_OCTETS:
        return f"\\x{point & 0xFF:02x}"
    return f"\\u{point:04x}" if point < _BASIC_PLANE else f"\\U{point:08x}"
