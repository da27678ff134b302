"""What goes wrong in the story is wrong for real, and put right by the code that starts registries."""

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
    one = PrivateRegistry(
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
    registry.prepare_registry(one)
    return one


def served(one: PrivateRegistry) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((one.folder / "pki" / "tls.crt").read_bytes())


def content(one: PrivateRegistry) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(one.folder.rglob("*")) if file.is_file()}


def test_a_new_authority_has_the_old_name_and_is_served(corp: PrivateRegistry) -> None:
    old = x509.load_pem_x509_certificate(corp.ca.read_bytes())
    faults.rekey(corp)
    new = x509.load_pem_x509_certificate(corp.ca.read_bytes())
    assert (new.subject, new.public_key() == old.public_key()) == (old.subject, False)
    leaf, authority = served(corp)
    leaf.verify_directly_issued_by(new)
    assert authority == new
    assert fingerprint(corp.ca.read_bytes()) == new.fingerprint(new.signature_hash_algorithm).hex()  # type: ignore[arg-type]


def test_a_registry_goes_on_with_its_new_authority(corp: PrivateRegistry) -> None:
    faults.rekey(corp)
    before = content(corp)
    registry.prepare_registry(corp)
    assert content(corp) == before


def test_an_expired_certificate_is_renewed_when_the_stack_comes_up(corp: PrivateRegistry) -> None:
    authority = corp.ca.read_bytes()
    faults.expire(corp)
    now = datetime.now(UTC)
    assert served(corp)[0].not_valid_after_utc < now
    served(corp)[0].verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    registry.prepare_registry(corp)
    assert served(corp)[0].not_valid_after_utc > now
    assert corp.ca.read_bytes() == authority


def test_another_password_is_the_one_that_the_registry_takes(corp: PrivateRegistry) -> None:
    old = corp.password()
    faults.change_password(corp)
    digest = (corp.folder / "htpasswd").read_bytes().partition(b":")[2].strip()
    assert bcrypt.checkpw(corp.password().encode(), digest)
    assert not bcrypt.checkpw(old.encode(), digest)


def test_events_are_the_last_part_of_a_description() -> None:
    assert events_of("Name: shop\nEvents: none\nEvents:\n  Type  Reason\n") == "Events:\n  Type  Reason\n"
