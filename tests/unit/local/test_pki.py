import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from trustplane_local import pki

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
LEAVES = [
    pki.Leaf("server", "server", hosts=("127.0.0.1", "registry.corp.test")),
    pki.Leaf("admin", "admin", organization="system:masters", client=True),
]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def verified(folder: Path, name: str, now: dt.datetime) -> None:
    store = x509.verification.Store([certificate(folder, "ca")])
    verifier = x509.verification.PolicyBuilder().store(store).time(now)
    if name == "admin":
        verifier.build_client_verifier().verify(certificate(folder, name), [])
    else:
        subject = x509.DNSName("registry.corp.test")
        verifier.build_server_verifier(subject).verify(certificate(folder, name), [])


def test_certificates_are_those_of_the_authority_for_their_hosts_and_use(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "corp-root", LEAVES, NOW)
    verified(tmp_path, "server", NOW)
    assert pki.hosts_of(certificate(tmp_path, "server")) == {"127.0.0.1", "registry.corp.test"}
    admin = certificate(tmp_path, "admin")
    admin.verify_directly_issued_by(certificate(tmp_path, "ca"))
    assert admin.subject.rfc4514_string() == "O=system:masters,CN=admin"


def test_private_keys_are_the_owners_alone(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path / "pki", "ca", LEAVES, NOW)
    pki.keep_service_account_key(tmp_path / "pki")
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700
    keys = list((tmp_path / "pki").glob("*.key"))
    assert len(keys) == 4
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_what_is_there_and_valid_is_kept(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    pki.keep_service_account_key(tmp_path)
    before = content(tmp_path)
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW + dt.timedelta(days=300))
    pki.keep_service_account_key(tmp_path)
    assert content(tmp_path) == before


def test_certificates_are_renewed_in_time_and_keys_stay(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    before = content(tmp_path)
    later = NOW + dt.timedelta(days=340)
    pki.keep_certificates(tmp_path, "ca", LEAVES, later)
    after = content(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"server.crt", "admin.crt"}
    verified(tmp_path, "server", later + dt.timedelta(days=100))


def test_everything_follows_a_lost_authority(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    (tmp_path / "ca.key").unlink()
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    verified(tmp_path, "server", NOW)


def test_a_half_written_or_foreign_file_is_replaced(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    (tmp_path / "server.crt").write_text("-----BEGIN CERT")
    (tmp_path / "admin.key").write_text("")
    (tmp_path / "admin.key.new").write_text("left by a crash")
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    verified(tmp_path, "server", NOW)
    key = serialization.load_pem_private_key((tmp_path / "admin.key").read_bytes(), None)
    assert key.public_key() == certificate(tmp_path, "admin").public_key()


def test_other_hosts_call_for_another_certificate(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    pki.keep_certificates(tmp_path, "ca", [pki.Leaf("server", "server", hosts=("10.0.0.9",))], NOW)
    assert pki.hosts_of(certificate(tmp_path, "server")) == {"10.0.0.9"}


def test_the_public_service_account_key_follows_the_private_one(tmp_path: Path) -> None:
    pki.keep_service_account_key(tmp_path)
    first = (tmp_path / "sa.pub").read_bytes()
    (tmp_path / "sa.key").unlink()
    pki.keep_service_account_key(tmp_path)
    private = serialization.load_pem_private_key((tmp_path / "sa.key").read_bytes(), None)
    public = serialization.load_pem_public_key((tmp_path / "sa.pub").read_bytes())
    assert private.public_key() == public
    assert (tmp_path / "sa.pub").read_bytes() != first


def test_a_certificate_of_long_ago_is_by_the_same_authority_and_renewed(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    authority = content(tmp_path)["ca.crt"]
    pki.issue_certificate(tmp_path, LEAVES[0], NOW - dt.timedelta(days=400))
    old = certificate(tmp_path, "server")
    old.verify_directly_issued_by(certificate(tmp_path, "ca"))
    assert old.not_valid_after_utc < NOW
    pki.keep_certificates(tmp_path, "ca", LEAVES, NOW)
    verified(tmp_path, "server", NOW)
    assert content(tmp_path)["ca.crt"] == authority


def test_a_renewed_authority_has_other_content_and_vouches_for_the_same(tmp_path: Path) -> None:
    pki.keep_certificates(tmp_path, "corp-root", LEAVES, NOW)
    before = content(tmp_path)
    renewed = pki.renew_authority(tmp_path, NOW + dt.timedelta(days=1))
    assert renewed != before["ca.crt"]
    assert content(tmp_path) == before
    authority = x509.load_pem_x509_certificate(renewed)
    assert authority.subject == certificate(tmp_path, "ca").subject
    certificate(tmp_path, "server").verify_directly_issued_by(authority)
