"""Differences that users see when they compare a node with `openssl s_client` or curl."""

import datetime as dt
from collections.abc import Sequence

from oracle import drafts
from oracle.drafts import AKI, EKU, KEY_USAGE, SAN, Draft
from oracle.encoding import PRINTABLE, UTF8, dns, name, sequence, tlv
from oracle.keyring import Keyring
from trustplane.certificates.verification import Pool, verify
from trustplane.certificates.verification.openssl import openssl_difference

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
HOST = "registry.example"
KEYS = Keyring()


def authority(number: int = 0) -> Draft:
    return drafts.ca("Root", KEYS.usual[number])


def compare(trust: Draft, served: Sequence[Draft], host: str = HOST) -> tuple[bool, str]:
    signed = {id(draft): draft.der for draft in (trust, *served)}
    pool, ders = Pool.read([signed[id(trust)]]), [signed[id(draft)] for draft in served]
    verdict = verify(ders, pool, host, AT)
    return verdict.trusted, openssl_difference(verdict, ders, pool, host, AT)


def test_both_agree_on_ordinary_chains() -> None:
    root = authority()
    assert compare(root, [drafts.server(KEYS.usual[1], root, dns(HOST))]) == (True, "")
    assert compare(authority(5), [drafts.server(KEYS.usual[1], root, dns(HOST))]) == (False, "")


def test_openssl_requires_a_self_signed_root() -> None:
    root = authority()
    issuing = drafts.ca("Issuing", KEYS.usual[1], root)
    trusted, text = compare(issuing, [drafts.server(KEYS.usual[2], issuing, dns(HOST))])
    assert trusted
    assert "-partial_chain" in text


def test_openssl_accepts_the_common_name() -> None:
    root = authority()
    server = drafts.server(KEYS.usual[1], root)
    server.subject = name((drafts.COMMON_NAME, HOST))
    server.drop(SAN)
    assert compare(root, [server]) == (False, "OpenSSL accepts: it does not apply the check that fails on nodes")


def test_openssl_accepts_a_partial_wildcard_and_nodes_a_wide_one() -> None:
    root = authority()
    partial = drafts.server(KEYS.usual[1], root, dns("reg*.corp.example"))
    trusted, text = compare(root, [partial], "registry.corp.example")
    assert (trusted, text[:16]) == (False, "OpenSSL accepts:")
    trusted, text = compare(root, [drafts.server(KEYS.usual[1], root, dns("*.example"))])
    assert (trusted, text) == (True, "OpenSSL refuses: CN=registry,O=Lab is not valid for registry.example")


def test_openssl_ignores_the_encoding_of_names() -> None:
    root = authority()
    root.subject = root.issuer = name((drafts.COMMON_NAME, "Root"), tag=PRINTABLE)
    server = drafts.server(KEYS.usual[1], root, dns(HOST))
    server.issuer = name((drafts.COMMON_NAME, "ROOT"), tag=UTF8)
    trusted, text = compare(root, [server])
    assert (trusted, text[:16]) == (False, "OpenSSL accepts:")


def test_openssl_requires_key_identifiers_to_match() -> None:
    root = authority()
    server = drafts.server(KEYS.usual[1], root, dns(HOST))
    server.put(AKI, sequence(tlv(0x80, b"other")))
    trusted, text = compare(root, [server])
    assert (trusted, text[:16]) == (True, "OpenSSL refuses:")


def test_openssl_checks_usages_that_nodes_ignore() -> None:
    root = authority()
    server = drafts.server(KEYS.usual[1], root, dns(HOST))
    server.put(KEY_USAGE, drafts.key_usage(1))
    assert compare(root, [server])[1].endswith("is not for TLS (key usage)")
    server.drop(KEY_USAGE)
    server.put(EKU, drafts.usages("2.5.29.37.0"))
    assert compare(root, [server])[1].endswith("is not for servers (extended key usage)")


def test_openssl_refuses_small_keys_that_nodes_accept() -> None:
    root = drafts.ca("Root", KEYS.odd[0])
    trusted, text = compare(root, [drafts.server(KEYS.usual[1], root, dns(HOST))])
    assert trusted
    assert "1024 bits" in text
