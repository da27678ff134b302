"""Containers of certificates: PKCS#7 (.p7b, RFC 5652) and PKCS#12 (.p12, .pfx, RFC 7292)."""

from gox509.der import SEQUENCE, SET, DerReader, MalformedError

LABELS = (b"PKCS7", b"CMS", b"PKCS #7 SIGNED DATA")

_DATA, _SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
_CONTENT = 0xA0
_PKCS_12_VERSION = 3


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
