"""Odd certificates, parsed as Go's ParseCertificate parses them: the same ones, with the same content."""

from pathlib import Path

import pytest
from oracle.go import Parsed, ask_to_parse, build
from oracle.keyring import Keyring
from oracle.oddities import generate

from gox509 import GoCertificate, MalformedError

AT_LEAST = 150


def read(der: bytes) -> Parsed | str:
    try:
        certificate = GoCertificate.read(der)
    except MalformedError as error:
        return str(error)
    names = (certificate.dns_names, certificate.email_addresses, certificate.ip_addresses, certificate.uris)
    return Parsed(
        version=certificate.version,
        serial=str(certificate.serial),
        commonName=certificate.subject.common_name,
        notBefore=int(certificate.not_before.seconds),
        notAfter=int(certificate.not_after.seconds),
        isCA=certificate.is_ca,
        names=sum(map(len, names)),
    )


@pytest.mark.timeout(600)  # without a build cache, Go compiles its standard library first
def test_odd_certificates_are_read_as_by_go(tmp_path: Path) -> None:
    odd = generate(Keyring())
    assert len(odd) >= AT_LEAST
    answers = ask_to_parse(build(tmp_path), list(odd.values()))
    differing = {
        label: (go, read(der)) for (label, der), go in zip(odd.items(), answers, strict=True) if go != read(der)
    }
    assert not differing
    assert any(isinstance(go, str) for go in answers)
