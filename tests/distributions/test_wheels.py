"""The distributions, each installed alone into an empty environment."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sources import ROOT

UV = ROOT / ".tools/bin/uv"
MEMBERS = {"gox509": "packages/gox509", "trustplane": ".", "trustplane-local": "packages/trustplane-local"}
FIVE_LINES = """
from datetime import UTC, datetime
from pathlib import Path
from gox509 import Pool, verify
served = [Path(name).read_bytes() for name in ("server.der",)]
verdict = verify(served, Pool.read([Path("root.der").read_bytes()]), "registry.test", datetime.now(UTC))
print(verdict.trusted, verdict.message)
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for member in MEMBERS.values():
        command = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
        subprocess.run([*command, "--out-dir", folder, ROOT / member], check=True, cwd=ROOT, timeout=300)
    return folder


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an environment for each distribution, with nothing else than what it needs."""
    environments = {}
    for name in MEMBERS:
        folder = tmp_path_factory.mktemp(name)
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=300)
        constraints = ["--constraints", ROOT / "requirements.lock", "--find-links", wheels]
        command = [UV, "pip", "install", "--quiet", "--python", folder / "bin/python", *constraints, name]
        subprocess.run(command, check=True, timeout=300)
        environments[name] = folder
    return environments


def self_signed(name: str) -> bytes:
    """Return a server's self-signed certificate for registry.test, DER."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("registry.test")]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def output(*command: object, cwd: Path | None = None) -> str:
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=True, timeout=60).stdout


def distributions(environment: Path) -> set[str]:
    script = "from importlib.metadata import distributions as d; print(*(each.name.lower() for each in d()))"
    return set(output(environment / "bin/python", "-c", script).split())


def test_the_production_wheel_has_no_local_stack(installed: dict[str, Path]) -> None:
    assert not {"jinja2", "bcrypt", "trustplane-local"} & distributions(installed["trustplane"])
    files = [file.name for file in installed["trustplane"].rglob("*podman*")]
    assert files == []


def test_the_production_wheel_has_its_commands_alone(installed: dict[str, Path]) -> None:
    text = output(installed["trustplane"] / "bin/trustplane", "--help")
    assert "\n  diagnose " in text
    assert "\n  local " not in text


def test_the_local_stack_adds_its_commands(installed: dict[str, Path]) -> None:
    text = output(installed["trustplane-local"] / "bin/trustplane", "--help")
    assert all(f"\n  {name} " in text for name in ("bench", "demo", "diagnose", "local"))


def test_gox509_verifies_a_chain_alone(installed: dict[str, Path], tmp_path: Path) -> None:
    environment = installed["gox509"]
    assert {"trustplane", "trustplane-local"}.isdisjoint(distributions(environment))
    for name in ("root", "server"):
        (tmp_path / f"{name}.der").write_bytes(self_signed(name))
    refused = output(environment / "bin/python", "-c", FIVE_LINES, cwd=tmp_path)
    assert refused == "False x509: certificate signed by unknown authority\n"
    (tmp_path / "root.der").write_bytes((tmp_path / "server.der").read_bytes())
    assert output(environment / "bin/python", "-c", FIVE_LINES, cwd=tmp_path) == "True \n"
