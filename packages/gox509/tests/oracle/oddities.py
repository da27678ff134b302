"""Odd certificates: every part of a CA's certificate in forms that old or careless software writes."""

from collections.abc import Callable, Iterator

from oracle import drafts
from oracle.drafts import (
    AIA,
    AKI,
    BASIC,
    COMMON_NAME,
    CONSTRAINTS,
    CRL,
    EKU,
    KEY_USAGE,
    ORGANIZATION,
    POLICIES,
    SAN,
    SKI,
    Draft,
)
from oracle.encoding import (
    BMP,
    IA5,
    PRINTABLE,
    T61,
    UNIVERSAL,
    UTF8,
    bit_string,
    boolean,
    dns,
    email,
    integer,
    name,
    oid,
    rdn,
    sequence,
    time,
    tlv,
    uri,
)
from oracle.keyring import ODD_SCHEMES, Key, Keyring

NUMERIC, VISIBLE, GENERAL = 0x12, 0x1A, 0x1B
UTC, GENERALIZED = 0x17, 0x18
ISSUER_ID, SUBJECT_ID = 0x81, 0x82

STRINGS: dict[str, tuple[int, bytes]] = {
    "T61 ASCII": (T61, b"Corp Root"),
    "T61 Latin-1": (T61, "München".encode("latin-1")),
    "T61 all octets": (T61, bytes(range(1, 256))),
    "T61 UTF-8": (T61, "München".encode()),
    "T61 escape": (T61, b"\x1b[31mred"),
    "T61 empty": (T61, b""),
    "UTF-8": (UTF8, "München".encode()),
    "UTF-8 with Latin-1": (UTF8, "München".encode("latin-1")),
    "UTF-8 empty": (UTF8, b""),
    "UTF-8 NUL": (UTF8, b"corp\0root"),
    "UTF-8 surrogate": (UTF8, b"\xed\xa0\x80"),
    "UTF-8 overlong": (UTF8, b"\xc0\x80"),
    "UTF-8 emoji": (UTF8, "🔒 Root".encode()),
    "UTF-8 reserved": (UTF8, b'a+b,c"d\\e<f>g;h=#'),
    "UTF-8 long": (UTF8, b"x" * 4000),
    "Printable": (PRINTABLE, b"Corp Root"),
    "Printable asterisk": (PRINTABLE, b"*.corp.example"),
    "Printable ampersand": (PRINTABLE, b"Corp & Sons"),
    "Printable at": (PRINTABLE, b"ca@corp.example"),
    "Printable underscore": (PRINTABLE, b"corp_root"),
    "Printable Latin-1": (PRINTABLE, "Zürich".encode("latin-1")),
    "Printable empty": (PRINTABLE, b""),
    "IA5": (IA5, b"ca@corp.example"),
    "IA5 Latin-1": (IA5, "müller".encode("latin-1")),
    "BMP": (BMP, "München".encode("utf-16-be")),
    "BMP odd": (BMP, b"\0C\0"),
    "BMP terminated": (BMP, "Corp".encode("utf-16-be") + b"\0\0"),
    "BMP surrogates": (BMP, "🔒".encode("utf-16-be")),
    "BMP noncharacter": (BMP, b"\xff\xff"),
    "BMP empty": (BMP, b""),
    "Universal": (UNIVERSAL, "Corp".encode("utf-32-be")),
    "Numeric": (NUMERIC, b"0123 456"),
    "Numeric letters": (NUMERIC, b"12a"),
    "Visible": (VISIBLE, b"Corp Root"),
    "General": (GENERAL, b"Corp Root"),
    "bit string": (0x03, b"\0\x01"),
}
TIMES: dict[str, bytes] = {
    "UTC": time("351231235959Z"),
    "UTC +0100": tlv(UTC, b"351231235959+0100"),
    "UTC -0500": tlv(UTC, b"351231235959-0500"),
    "UTC +2400": tlv(UTC, b"351231235959+2400"),
    "UTC +2500": tlv(UTC, b"351231235959+2500"),
    "UTC +0160": tlv(UTC, b"351231235959+0160"),
    "UTC +0000": tlv(UTC, b"351231235959+0000"),
    "UTC -0000": tlv(UTC, b"351231235959-0000"),
    "UTC without seconds": tlv(UTC, b"3512312359Z"),
    "UTC without seconds +0100": tlv(UTC, b"3512312359+0100"),
    "UTC without zone": tlv(UTC, b"351231235959"),
    "UTC lower case": tlv(UTC, b"351231235959z"),
    "UTC 1949": tlv(UTC, b"491231235959Z"),
    "UTC 1950": tlv(UTC, b"500101000000Z"),
    "UTC leap second": tlv(UTC, b"351231235960Z"),
    "UTC 30 February": tlv(UTC, b"350230000000Z"),
    "UTC hour 24": tlv(UTC, b"351231240000Z"),
    "UTC fraction": tlv(UTC, b"351231235959.5Z"),
    "UTC blank": tlv(UTC, b"351231235959Z "),
    "UTC letters": tlv(UTC, b"35123123595xZ"),
    "UTC empty": tlv(UTC, b""),
    "generalized": time("20351231235959Z"),
    "generalized +0100": tlv(GENERALIZED, b"20351231235959+0100"),
    "generalized fraction": tlv(GENERALIZED, b"20351231235959.5Z"),
    "generalized without seconds": tlv(GENERALIZED, b"203512312359Z"),
    "generalized without zone": tlv(GENERALIZED, b"20351231235959"),
    "generalized 9999": tlv(GENERALIZED, b"99991231235959Z"),
    "generalized 9999 -2359": tlv(GENERALIZED, b"99991231235959-2359"),
    "generalized year 0": tlv(GENERALIZED, b"00000101000000Z"),
    "generalized year 0 +2359": tlv(GENERALIZED, b"00000101000000+2359"),
    "generalized leap day": tlv(GENERALIZED, b"20360229000000Z"),
    "generalized no leap day": tlv(GENERALIZED, b"21000229000000Z"),
    "integer": integer(2035),
}
SERIALS: dict[str, int] = {
    "0": 0, "1": 1, "-1": -1, "-128": -128, "20 octets": 1 << 158, "21 octets": 1 << 160, "40 octets": 1 << 318,
    "200 octets": 1 << 1590,
}  # fmt: skip
VERSIONS: dict[str, int | None] = {"1": None, "1, explicit": 0, "2": 1, "3": 2, "4": 3, "-1": -1, "large": 1 << 70}
EXTENSIONS: dict[str, tuple[str, bytes, bool]] = {
    "unknown": ("1.2.3.4", b"\x05\x00", False),
    "unknown, critical": ("1.2.3.4", b"\x05\x00", True),
    "unknown, garbage": ("1.2.3.4", b"garbage", False),
    "SAN empty": (SAN, sequence(), False),
    "SAN nothing": (SAN, b"", False),
    "SAN Latin-1 DNS": (SAN, sequence(tlv(0x82, b"m\xfcller.example")), False),
    "SAN blank DNS": (SAN, sequence(dns(" ")), False),
    "SAN underscore": (SAN, sequence(dns("corp_root.example")), False),
    "SAN email": (SAN, sequence(email("no mail")), False),
    "SAN IP of 8 octets": (SAN, sequence(tlv(0x87, b"\x0a\0\0\0\xff\0\0\0")), False),
    "SAN IP of 5 octets": (SAN, sequence(tlv(0x87, b"12345")), False),
    "SAN IP in text": (SAN, sequence(dns("10.0.0.1")), False),
    "SAN URI": (SAN, sequence(uri("spiffe://corp.example/ca")), False),
    "SAN URI without scheme": (SAN, sequence(uri("corp.example")), False),
    "SAN URI with blank": (SAN, sequence(uri("http://corp example/")), False),
    "SAN URI with percent": (SAN, sequence(uri("http://corp.example/%zz")), False),
    "SAN other name": (SAN, sequence(tlv(0xA0, oid("1.2.3"), tlv(0xA0, tlv(UTF8, b"upn")))), False),
    "SAN directory name, critical": (SAN, sequence(tlv(0xA4, name((COMMON_NAME, "x")))), True),
    "basic constraints empty": (BASIC, sequence(), True),
    "basic constraints nothing": (BASIC, b"", True),
    "basic constraints FALSE written": (BASIC, sequence(boolean(False)), True),
    "basic constraints 0x01": (BASIC, sequence(tlv(0x01, b"\x01")), True),
    "basic constraints path length 0": (BASIC, drafts.basic(ca=True, path_length=0), True),
    "basic constraints path length -1": (BASIC, drafts.basic(ca=True, path_length=-1), True),
    "basic constraints path length large": (BASIC, drafts.basic(ca=True, path_length=1 << 70), True),
    "basic constraints not critical": (BASIC, drafts.basic(ca=True), False),
    "basic constraints trailing": (BASIC, drafts.basic(ca=True) + b"\0", True),
    "key usage none": (KEY_USAGE, bit_string(b""), True),
    "key usage zero": (KEY_USAGE, bit_string(b"\0"), True),
    "key usage nothing": (KEY_USAGE, b"", True),
    "key usage padding": (KEY_USAGE, tlv(0x03, b"\x08\x06"), True),
    "key usage dirty padding": (KEY_USAGE, tlv(0x03, b"\x01\x07"), True),
    "key usage decipher only": (KEY_USAGE, drafts.key_usage(5, 8), True),
    "key usage long": (KEY_USAGE, bit_string(b"\x06\0\0\0"), True),
    "EKU empty": (EKU, sequence(), False),
    "EKU unknown": (EKU, sequence(oid("1.3.6.1.4.1.311.10.3.4")), False),
    "EKU not an OID": (EKU, sequence(integer(1)), False),
    "EKU bad OID": (EKU, sequence(tlv(0x06, b"\x80\x01")), False),
    "EKU large OID part": (EKU, sequence(tlv(0x06, b"\x2a\x90\x80\x80\x80\x00")), False),
    "SKI nothing": (SKI, b"", False),
    "SKI empty": (SKI, tlv(0x04, b""), False),
    "SKI critical": (SKI, tlv(0x04, b"id"), True),
    "SKI trailing": (SKI, tlv(0x04, b"id") + b"\0", False),
    "AKI empty": (AKI, sequence(), False),
    "AKI critical": (AKI, sequence(), True),
    "AKI issuer and serial": (AKI, sequence(tlv(0xA1, tlv(0xA4, name((COMMON_NAME, "x")))), tlv(0x82, b"\1")), False),
    "AKI garbage": (AKI, b"id", False),
    "CRL none": (CRL, sequence(), False),
    "CRL relative name": (CRL, sequence(sequence(tlv(0xA0, tlv(0xA1, b"")))), False),
    "CRL LDAP": (CRL, sequence(sequence(tlv(0xA0, tlv(0xA0, uri("ldap:///CN=x y,DC=corp?x"))))), False),
    "CRL reasons only": (CRL, sequence(sequence(tlv(0x81, b"\0\x80"))), False),
    "AIA empty": (AIA, sequence(), False),
    "AIA critical": (AIA, sequence(), True),
    "AIA directory name": (AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), tlv(0xA4, name()))), False),
    "policies empty": (POLICIES, sequence(), False),
    "policies any": (POLICIES, sequence(sequence(oid("2.5.29.32.0"))), False),
    "policies twice": (POLICIES, sequence(sequence(oid("1.2.3")), sequence(oid("1.2.3"))), False),
    "policies large": (POLICIES, sequence(sequence(tlv(0x06, b"\x2a" + b"\xff" * 8 + b"\x7f"))), False),
    "policies notice": (POLICIES, sequence(sequence(oid("1.2.3"), sequence(sequence(oid("1.2.3.4"))))), False),
    "constraints empty": (CONSTRAINTS, sequence(), True),
    "constraints nothing": (CONSTRAINTS, b"", True),
    "constraints dot": (CONSTRAINTS, sequence(tlv(0xA0, sequence(dns(".corp.example")))), True),
    "constraints blank": (CONSTRAINTS, sequence(tlv(0xA0, sequence(dns("")))), True),
    "constraints Latin-1": (CONSTRAINTS, sequence(tlv(0xA0, sequence(tlv(0x82, b"m\xfcller")))), True),
    "constraints asterisk": (CONSTRAINTS, sequence(tlv(0xA0, sequence(dns("*.corp.example")))), True),
    "constraints IP of 5": (CONSTRAINTS, sequence(tlv(0xA0, sequence(tlv(0x87, b"12345")))), True),
    "constraints mask with holes": (CONSTRAINTS, sequence(tlv(0xA0, sequence(tlv(0x87, b"\x0a\0\0\0\xff\0\xff\0")))),
                                    True),
    "constraints directory": (CONSTRAINTS, sequence(tlv(0xA0, sequence(tlv(0xA4, name())))), True),
    "constraints email": (CONSTRAINTS, sequence(tlv(0xA0, sequence(email("@corp.example")))), True),
    "constraints URI of an address": (CONSTRAINTS, sequence(tlv(0xA0, sequence(uri("10.0.0.1")))), True),
    "name in Netscape comment": ("2.16.840.1.113730.1.13", tlv(IA5, b"OpenSSL Generated Certificate"), False),
    "Netscape type": ("2.16.840.1.113730.1.1", bit_string(b"\x07"), False),
    "Microsoft CA version": ("1.3.6.1.4.1.311.21.1", integer(0), False),
}  # fmt: skip


def generate(keys: Keyring) -> dict[str, bytes]:
    """Return the odd certificates by their names: the same in every run, but for keys and signatures."""
    return dict(_generate(keys))


def _generate(keys: Keyring) -> Iterator[tuple[str, bytes]]:
    for label, (tag, value) in STRINGS.items():
        yield f"name {label}", _changed(keys, subject=sequence(rdn(COMMON_NAME, value, tag)))
    for label, subject in _names().items():
        yield f"subject {label}", _changed(keys, subject=subject, issuer=subject)
    for label, instant in TIMES.items():
        yield f"not after {label}", _changed(keys, not_after=instant)
        yield f"not before {label}", _changed(keys, not_before=instant)
    for label, serial in SERIALS.items():
        yield f"serial {label}", _changed(keys, serial=serial)
    for label, version in VERSIONS.items():
        yield f"version {label}", _changed(keys, version=version)
        yield f"version {label} without extensions", _changed(keys, version=version, extensions=[])
    for label, (kind, value, critical) in EXTENSIONS.items():
        draft = drafts.ca("Odd Root", keys.usual[0])
        draft.put(kind, value, critical=critical)
        yield f"extension {label}", draft.der
    for group in ("usual", "odd", "broken"):
        for number, key in enumerate(getattr(keys, group)):
            yield f"key {group} {number} {key.name}", _with_key(keys, key)
    for number, scheme in enumerate(ODD_SCHEMES):
        yield f"signature {number}", _changed(keys, scheme=scheme)
    yield from _mutated(keys)


def _changed(keys: Keyring, **attributes: object) -> bytes:
    draft = drafts.ca("Odd Root", keys.usual[0])
    for attribute, value in attributes.items():
        setattr(draft, attribute, value)
    return draft.der


def _with_key(keys: Keyring, key: Key) -> bytes:
    issuer = drafts.ca("Root", keys.usual[0])
    return drafts.ca("Odd Root", key, issuer).der


def _names() -> dict[str, bytes]:
    multiple = tlv(0x31, sequence(oid(COMMON_NAME), tlv(UTF8, b"a")), sequence(oid(ORGANIZATION), tlv(UTF8, b"b")))
    return {
        "empty": sequence(),
        "empty set": sequence(tlv(0x31)),
        "multi-valued": sequence(multiple, rdn(ORGANIZATION, b"Lab")),
        "unknown attribute": sequence(rdn("1.2.3.4", b"x")),
        "street and user": sequence(rdn("2.5.4.9", b"Street 1"), rdn("0.9.2342.19200300.100.1.1", b"user")),
        "email": sequence(rdn("1.2.840.113549.1.9.1", b"ca@corp.example", IA5)),
        "blanks": sequence(rdn(COMMON_NAME, b" Corp Root ")),
        "50 attributes": sequence(*(rdn(COMMON_NAME, b"x") for _ in range(50))),
        "attribute without value": sequence(tlv(0x31, sequence(oid(COMMON_NAME)))),
        "attribute without kind": sequence(tlv(0x31, sequence(tlv(UTF8, b"x")))),
        "sequence for set": sequence(sequence(sequence(oid(COMMON_NAME), tlv(UTF8, b"x")))),
        "country of 3 letters": sequence(rdn("2.5.4.6", b"DEU", PRINTABLE)),
    }


def _mutated(keys: Keyring) -> Iterator[tuple[str, bytes]]:
    draft = drafts.ca("Odd Root", keys.usual[0])
    draft.extensions *= 2
    yield "extensions twice", draft.der
    changes: dict[str, Callable[[Draft], object]] = {
        "trailing octet": lambda draft: setattr(draft, "trailing", b"\0"),
        "other inner algorithm": lambda draft: setattr(draft, "inner_algorithm", sequence(oid("1.2.3"))),
        "forged": lambda draft: setattr(draft, "forged", True),
        "unique identifiers": lambda draft: setattr(draft, "mutate", _with_unique_identifiers),
    }
    for label, change in changes.items():
        draft = drafts.ca("Odd Root", keys.usual[0])
        draft.extensions = [] if label == "unique identifiers" else draft.extensions
        change(draft)
        yield label, draft.der
    good = drafts.ca("Odd Root", keys.usual[0]).der
    yield "nothing", b""
    yield "empty sequence", sequence()
    yield "cut", good[:-1]
    yield "indefinite length", b"\x30\x80" + good[4:] + b"\0\0"
    yield "long length", b"\x30\x83\x00" + good[2:]


def _with_unique_identifiers(tbs: bytes) -> bytes:
    content = tbs[4:] + tlv(ISSUER_ID, b"\0\x01") + tlv(SUBJECT_ID, b"\0\x02")
    return sequence(content)
