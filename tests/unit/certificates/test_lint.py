"""Findings about trust lists: each has a stable code and a next step."""

import base64
import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import drafts
from oracle.drafts import BASIC, EKU, KEY_USAGE, SAN, Draft
from oracle.encoding import dns, time
from oracle.keyring import ODD_SCHEMES, Keyring
from oracle.pem import data, pem
from trustplane.certificates.finding import Severity
from trustplane.certificates.lint import lint
from trustplane.certificates.parsing import parse, parse_der, parse_pem
from trustplane.certificates.repair import read_any, repair

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
KEYS = Keyring()
GOOD = drafts.ca("Corp Root", KEYS.usual[0]).der
OTHER = drafts.ca("Other Root", KEYS.usual[1]).der


def ca(change: Callable[[Draft], object]) -> str:
    draft = drafts.ca("Corp Root", KEYS.usual[0])
    change(draft)
    return data(draft.der)


def with_key(number: int, kind: str) -> str:
    return data(drafts.ca("Corp Root", getattr(KEYS, kind)[number]).der)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ODD = {
    "wrapped-base64": "\n".join(base64.encodebytes(pem(GOOD).encode()).decode().splitlines()),
    "crlf": encoded(pem(GOOD).replace("\n", "\r\n")),
    "text-around": encoded(f"Bag Attributes\n    friendlyName: corp\n{pem(GOOD)}"),
    "other-pem-blocks": encoded(f"{pem(GOOD)}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
    "several-certificates": data(GOOD, OTHER),
    "leaf": data(drafts.server(KEYS.usual[2], drafts.ca("R", KEYS.usual[0]), dns("registry.example")).der),
    "not-a-ca": ca(lambda draft: draft.drop(BASIC)),
    "no-key-cert-sign": ca(lambda draft: draft.put(KEY_USAGE, drafts.key_usage(6))),
    "old-version": ca(lambda draft: (setattr(draft, "version", None), draft.extensions.clear())),
    "expired": ca(lambda draft: setattr(draft, "not_after", time("260101000000Z"))),
    "expires-soon": ca(lambda draft: setattr(draft, "not_after", time("261201000000Z"))),
    "not-yet-valid": ca(lambda draft: setattr(draft, "not_before", time("270101000000Z"))),
    "weak-signature": ca(lambda draft: setattr(draft, "scheme", ODD_SCHEMES[2])),
    "small-key": with_key(0, "odd"),
    "unusable-key": with_key(0, "broken"),
    "unhandled-critical-extension": ca(lambda draft: draft.put("1.2.3.4", b"\x05\x00", critical=True)),
    "no-server-auth": ca(lambda draft: draft.put(EKU, drafts.usages(drafts.CLIENT_AUTH))),
    "unreadable-on-nodes": ca(lambda draft: draft.put(SAN, b"")),
}


@pytest.mark.parametrize("code", ODD)
def test_every_defect_has_its_code_and_a_next_step(code: str) -> None:
    findings = lint([("corp", ODD[code])], AT)
    assert [finding.code for finding in findings] == [code]
    assert findings[0].where == "additionalTrustedCAs[0] (corp)"
    assert findings[0].what
    assert findings[0].why
    assert findings[0].next_step
    assert (findings[0].severity is Severity.ERROR) is (code == "unreadable-on-nodes")


def test_a_good_list_has_no_findings() -> None:
    assert lint([("corp", data(GOOD)), ("other", data(OTHER))], AT) == []


def test_a_certificate_under_two_names_is_reported() -> None:
    findings = lint([("corp", data(GOOD)), ("again", data(GOOD))], AT)
    assert [(finding.code, finding.where) for finding in findings] == [
        ("duplicate-certificate", "additionalTrustedCAs[1] (again)")
    ]
    assert "additionalTrustedCAs[0] (corp)" in findings[0].what


REPAIRED = {
    "PEM": pem(GOOD),
    "DER": base64.b64encode(GOOD).decode(),
    "twice": encoded(data(GOOD)),
    "five times": encoded(encoded(encoded(encoded(data(GOOD))))),
    "wrapped twice": base64.encodebytes(ODD["wrapped-base64"].encode()).decode(),
    "CRLF": ODD["crlf"],
    "text": ODD["text-around"],
    "UTF-16": base64.b64encode(pem(GOOD).encode("utf-16")).decode(),
    "again and again": data(GOOD, GOOD, GOOD),
}


@pytest.mark.parametrize("written", REPAIRED)
def test_repair_returns_the_canonical_form(written: str) -> None:
    assert repair(REPAIRED[written]) == data(GOOD)


@pytest.mark.parametrize(
    "lost",
    ["", "garbage!", encoded("nothing"), encoded(f"{pem(GOOD)}-----BEGIN PRIVATE KEY-----\nAAAA\n"), "\x00" * 40],
)
def test_beyond_repair(lost: str) -> None:
    assert repair(lost) is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (
            encoded(encoded(encoded("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"))),
            "private-key",
        ),
        (encoded(encoded(data(GOOD))), "double-base64"),
        (base64.b64encode(pem(GOOD).encode("utf-16")).decode(), "utf-16"),
        (encoded("-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n"), "no-certificate"),
        (encoded("-----BEGIN CERTIFICATE-----\nA\0AA\n-----END CERTIFICATE-----\n"), "unparsable-certificate"),
    ],
)
def test_nested_and_odd_content_has_its_code(content: str, code: str) -> None:
    assert [finding.code for finding in parse(content).findings] == [code]


def test_files_need_no_base64() -> None:
    assert parse_pem(pem(GOOD, OTHER).encode()).ok
    assert parse_der(GOOD).ok
    assert [finding.code for finding in parse_der(b"\x30\x00").findings] == ["no-certificate"]


@settings(max_examples=200)
@given(content=st.binary(max_size=300))
def test_any_content_gives_certificates_or_a_finding(content: bytes) -> None:
    parsed = read_any(content)
    assert parsed.certificates or parsed.findings


@settings(max_examples=100)
@given(at=st.integers(0, len(GOOD) - 1), octet=st.integers(0, 255))
def test_linting_a_damaged_certificate_never_raises(at: int, octet: int) -> None:
    lint([("corp", data(GOOD[:at] + bytes([octet]) + GOOD[at + 1 :]))], AT)


@pytest.mark.parametrize(
    "octet", [b"-----BEGIN ", b"\x30\x80", b"\x00", b"QUFB", b"-----BEGIN CERTIFICATE-----\n", b" "]
)
def test_megabytes_of_garbage_give_a_finding(octet: bytes) -> None:
    content = octet * (10_000_000 // len(octet))
    assert read_any(content).findings
    assert parse(content.decode("latin-1")).findings


def test_repair_is_idempotent() -> None:
    once = repair(ODD["several-certificates"])
    assert once is not None
    assert repair(once) == once
