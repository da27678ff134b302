"""Odd certificates in a list: usable exactly if Go parses them, because nodes read the list with Go."""

import datetime as dt
import hashlib
import warnings

import pytest
from cryptography import x509
from oracle.keyring import Keyring
from oracle.oddities import generate
from oracle.pem import data

from gox509 import GoCertificate, MalformedError
from trustplane.api.configuration import TrustedCA
from trustplane.certificates.finding import Severity
from trustplane.certificates.lint import lint
from trustplane.certificates.parsing import parse
from trustplane.trust.entries import parse_list

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
ODD = generate(Keyring())
OLD_ROOTS = ("name T61 Latin-1", "not after UTC +0100", "not before UTC -0500", "version 2 without extensions")
WRITTEN = (
    *("name UTF-8", "name UTF-8 NUL", "name UTF-8 reserved", "name UTF-8 emoji", "name Printable", "name IA5"),
    *("subject empty", "subject multi-valued", "subject unknown attribute", "subject street and user"),
    *("subject email", "subject blanks", "subject 50 attributes"),
)


def is_readable_on_nodes(der: bytes) -> bool:
    try:
        GoCertificate.read(der)
    except MalformedError:
        return False
    return True


@pytest.mark.parametrize("label", ODD)
def test_an_entry_is_usable_exactly_if_nodes_can_read_it(label: str) -> None:
    parsed = parse(data(ODD[label]))
    findings = (*parsed.findings, *lint([("corp", data(ODD[label]))], AT))
    assert any(finding.severity is Severity.ERROR for finding in findings) is not is_readable_on_nodes(ODD[label])


@pytest.mark.parametrize("label", OLD_ROOTS)
def test_admission_accepts_roots_of_old_software(label: str) -> None:
    reading = parse_list([TrustedCA(name="corp", data=data(ODD[label]))])
    assert reading.is_valid
    assert reading.trust.entries[0].fingerprints == (hashlib.sha256(ODD[label]).hexdigest(),)


def test_version_2_is_reported_as_old() -> None:
    findings = lint([("corp", data(ODD["version 2 without extensions"]))], AT)
    assert [finding.code for finding in findings] == ["old-version"]
    assert "version 2" in findings[0].what


def test_times_beyond_the_calendar_are_the_last_and_the_first() -> None:
    ends = [parse(data(ODD[f"not after generalized {label}"])).certificates[0].expires for label in
            ("9999 -2359", "year 0 +2359")]  # fmt: skip
    assert [end.year for end in ends] == [9999, 1]


@pytest.mark.parametrize("label", WRITTEN)
def test_subjects_are_written_by_rfc_4514(label: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = x509.load_der_x509_certificate(ODD[label]).subject.rfc4514_string()
    assert parse(data(ODD[label])).certificates[0].subject == expected
