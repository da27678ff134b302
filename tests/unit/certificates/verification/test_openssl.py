"""The differences that users meet when they compare a node with `openssl s_client` or curl."""

import datetime as dt
from collections.abc import Sequence

from oracle import drafts
from oracle.drafts import AKI, EKU, KEY_USAGE, SAN, Draft
from oracle.encoding import PRINTABLE, UTF8, dns, name, sequence, tlv
from oracle.keyring import Keyring
from trustplane.certificates.verification import Pool, verify
from trustplane.certificates.verification.openssl import difference

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
HOST = "registry.example"
KEYS = Keyring()


def authority(number: int = 0) -> Draft:
    return drafts.ca("Root", KEYS.usual[number])


def compared(trust: Draft, served: Sequence[Draft], host: str = HOST) -> tuple[bool, str]:
    made = {id(one): one.der for one in (trust, *served)}
    pool, ders = Pool.read([made[id(trust)]]), [made[id(one)] for one in served]
    verdict = verify(ders, pool, host, AT)
    return verdict.trusted, difference(verdict, ders, pool, host, AT)


def test_usual_chain_is_the_same_for_both() -> None:
    root = authority()
    assert compared(root, [drafts.server(KEYS.usual[1], root, dns(HOST))]) == (True, "")
    assert compared(authority(5), [drafts.server(KEYS.usual[1], root, dns(HOST))]) == (False, "")


def test_openssl_wants_a_self_signed_end() -> None:
    root = authority()
    issuing = drafts.ca("Issuing", KEYS.usual[1], root)
    trusted, text = compared(issuing, [drafts.server(KEYS.usual[2], issuing, dns(HOST))])
    assert trusted
    assert "-partial_chain" in text


def test_openssl_takes_the_common_name() -> None:
    root = authority()
    server = drafts.server(KEYS.usual[1], root)
    server.subject = name((drafts.COMMON_NAME, HOST))
    server.drop(SAN)
    assert compared(root, [server]) == (False, "OpenSSL accepts: it does not check what nodes refuse")


def test_openssl_takes_a_partial_wildcard_and_nodes_take_a_wide_one() -> None:
    root = authority()
    partial = drafts.server(KEYS.usual[1], root, dns("reg*.corp.example"))
    trusted, text = compared(root, [partial], "registry.corp.example")
    assert (trusted, text[:16]) == (False, "OpenSSL accepts:")
    trusted, text = compared(root, [drafts.server(KEYS.usual[1], root, dns("*.example"))])
    assert (trusted, text) == (True, "OpenSSL refuses: CN=registry,O=Lab is not for registry.example")


def test_openssl_compares_names_without_their_encoding() -> None:
    root = authority()
    root.subject = root.issuer = name((drafts.COMMON_NAME, "Root"), tag=PRINTABLE)
    server = drafts.server(KEYS.usual[1], root, dns(HOST))
    server.issuer = name((drafts.COMMON_NAME, "ROOT"), tag=UTF8)
    trusted, text = compared(root, [server])
    assert (trusted, text[:16]) == (False, "OpenSSL accepts:")


def test_openssl_wants_key_identifiers_to_match() -> None:
    root = authority()
    server = drafts.server(KEYS.usual[1], root, dns(HOST))
    server.put(AKI, sequence(tlv(0x80, b"other")))
    trusted, text = compared(root, [server])
    assert (trusted, text[:16]) == (True, "OpenSSL refuses:")


def test_openssl_looks_at_usages_that_nodes_leave_alone() -> None:
    root = authority()
    server = drafts.server(KEYS.usual[1], root, dns(HOST))
    server.put(KEY_USAGE, drafts.key_usage(1))
    assert compared(root, [server])[1].endswith("is not for TLS (key usage)")
    server.drop(KEY_USAGE)
    server.put(EKU, drafts.usages("2.5.29.37.0"))
    assert compared(root, [server])[1].endswith("is not for servers (extended key usage)")


def test_small_keys() -> None:
    root = drafts.ca("Root", KEYS.odd[0])
    trusted, text = compared(root, [drafts.server(KEYS.usual[1], root, dns(HOST))])
    assert trusted
    assert "1024 bits" in text
