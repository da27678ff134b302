"""The demo's faults are real, and the code that starts registries repairs them."""

from datetime import UTC, datetime
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509

from trustplane_local import registry
from trustplane_local.demo import faults
from trustplane_local.demo.breakdowns import events_of, fingerprint
from trustplane_local.registry import PrivateRegistry


@pytest.fixture
def corp(tmp_path: Path) -> PrivateRegistry:
    registry_ = PrivateRegistry(
        name="registry-corp",
        folder=tmp_path,
        host="registry.corp.test",
        address="198.18.0.2",
        ca=tmp_path / "pki" / "ca.crt",
        ca_name="corp-root",
        username="robot$puller",
        password_file=tmp_path / "password",
        image="registry.corp.test/apps/hello:1.0",
    )
    registry.prepare_registry(registry_)
    return registry_


def served_chain(target: PrivateRegistry) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((target.folder / "pki" / "tls.crt").read_bytes())


def read_files(target: PrivateRegistry) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(target.folder.rglob("*")) if file.is_file()}


def test_a_new_authority_has_the_old_name_and_is_served(corp: PrivateRegistry) -> None:
    old = x509.load_pem_x509_certificate(corp.ca.read_bytes())
    faults.rekey(corp)
    new = x509.load_pem_x509_certificate(corp.ca.read_bytes())
    assert (new.subject, new.public_key() == old.public_key()) == (old.subject, False)
    leaf, authority = served_chain(corp)
    leaf.verify_directly_issued_by(new)
    assert authority == new
    assert fingerprint(corp.ca.read_bytes()) == new.fingerprint(new.signature_hash_algorithm).hex()  # type: ignore[arg-type]


def test_a_registry_keeps_its_new_authority(corp: PrivateRegistry) -> None:
    faults.rekey(corp)
    before = read_files(corp)
    registry.prepare_registry(corp)
    assert read_files(corp) == before


def test_an_expired_certificate_is_renewed_at_the_next_up(corp: PrivateRegistry) -> None:
    authority = corp.ca.read_bytes()
    faults.expire(corp)
    now = datetime.now(UTC)
    assert served_chain(corp)[0].not_valid_after_utc < now
    served_chain(corp)[0].verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    registry.prepare_registry(corp)
    assert served_chain(corp)[0].not_valid_after_utc > now
    assert corp.ca.read_bytes() == authority


def test_the_registry_accepts_only_the_changed_password(corp: PrivateRegistry) -> None:
    old = corp.password()
    faults.change_password(corp)
    digest = (corp.folder / "htpasswd").read_bytes().partition(b":")[2].strip()
    assert bcrypt.checkpw(corp.password().encode(), digest)
    assert not bcrypt.checkpw(old.encode(), digest)


def test_events_are_the_last_section_of_a_description() -> None:
    assert events_of("Name: shop\nEvents: none\nEvents:\n  Type  Reason\n") == "Events:\n  Type  Reason\n"
