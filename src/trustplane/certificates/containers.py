"""Containers of certificates: PKCS#7 (.p7b, RFC 5652), PKCS#12 (.p12, .pfx, RFC 7292) and Java keystores (.jks)."""

from io import SEEK_CUR, BytesIO

from gox509.der import SEQUENCE, SET, DerReader, MalformedError

LABELS = (b"PKCS7", b"CMS", b"PKCS #7 SIGNED DATA")

_DATA, _SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
_CONTENT = 0xA0
_PKCS_12_VERSION = 3
_KEYSTORES = (b"\xfe\xed\xfe\xed\0\0\0", b"\xce\xce\xce\xce\0\0\0")  # magic of JKS and JCEKS
_KEYSTORE_START = 8  # after magic and version
_TRUSTED_CERTIFICATE = 2


def pkcs7_certificates(content: bytes) -> list[bytes]:
    """Return the certificates of a PKCS#7 container in DER, as DER; empty if the content is not one."""
    try:
        return _pkcs7(content)
    except MalformedError:
        return []


def _pkcs7(content: bytes) -> list[bytes]:
    outer = DerReader(content).sequence("content info")
    if outer.oid("content type") != _SIGNED_DATA:
        return []
    signed = DerReader(outer.read(_CONTENT, "content")).sequence("signed data")
    signed.integer("version")
    signed.read(SET, "digest algorithms")
    signed.read(SEQUENCE, "encapsulated content")
    certificates = DerReader(signed.optional(_CONTENT, "certificates") or b"")
    ders = []
    while certificates:
        tag, der = certificates.any_element("certificate")
        if tag == SEQUENCE:
            ders.append(der)
    return ders


def is_pkcs12(content: bytes) -> bool:
    """Return whether the content is a PKCS#12 container."""
    try:
        outer = DerReader(content).sequence("PFX")
        if outer.integer("version") != _PKCS_12_VERSION:
            return False
        return outer.sequence("authenticated safe").oid("content type") in {_DATA, _SIGNED_DATA}
    except MalformedError:
        return False


def is_keystore(content: bytes) -> bool:
    """Return whether the content is a Java keystore, JKS or JCEKS; since Java 9, new ones are PKCS#12."""
    return content.startswith(_KEYSTORES)


def is_keystore_with_key(content: bytes) -> bool:
    """Return whether the content is a Java keystore with any entry but certificates, or cut off before its end."""
    if not is_keystore(content):
        return False
    stream = BytesIO(content[_KEYSTORE_START:])
    for _ in range(_number(stream)):
        if _number(stream) != _TRUSTED_CERTIFICATE:
            return True
        _skip(stream, 2)  # its alias
        stream.seek(8, SEEK_CUR)  # its time
        _skip(stream, 2)  # the type of its certificate
        _skip(stream, 4)
    return False


def _number(stream: BytesIO, size: int = 4) -> int:
    return int.from_bytes(stream.read(size), "big")


def _skip(stream: BytesIO, size: int) -> None:
    """Skip a value with its length in front."""
    stream.seek(_number(stream, size), SEEK_CUR)
