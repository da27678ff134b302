import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trustplane.api.configuration import TrustedCA
from trustplane.api.meta import Metadata
from trustplane.api.registry import Registry, RegistrySpec, RegistryStatus, ServedCertificate
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import explain
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.reporting.registry_assessment import (
    assess_registry,
    canonical_registry_host,
    find_registry,
    host_name,
    node_evidence,
)
from trustplane.trust.entries import EMPTY_SET, TrustSet, parse_list
from trustplane_local import pki

NOW = datetime.now(UTC)
HOST = "harbor.corp:5000"
MESSAGE = "x509: certificate signed by unknown authority"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.keep_certificates(folder, "corp-root", [pki.Leaf("tls", "harbor.corp", hosts=("harbor.corp",))], NOW)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((folder / "tls.crt").read_bytes())[:1]


@pytest.fixture(scope="module")
def corp(folder: Path) -> TrustSet:
    data = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    return parse_list([TrustedCA(name="corp", data=data)]).trust


def registry(served: list[x509.Certificate], host: str = HOST) -> Registry:
    chain = [
        ServedCertificate(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            data=base64.b64encode(certificate.public_bytes(Encoding.DER)).decode(),
        )
        for certificate in served
    ]
    return Registry(metadata=Metadata(name="r"), spec=RegistrySpec(host=host), status=RegistryStatus(chain=chain))


def sets(in_force: TrustSet | None, desired: TrustSet | None = None) -> TrustSets:
    digest = in_force.digest if in_force else "0" * 64
    return TrustSets(
        digest=digest, in_force=in_force, desired=in_force if desired is None else desired, source="Service"
    )


def test_the_ca_is_unknown_without_a_registry_or_its_chain(corp: TrustSet) -> None:
    for known, why in (
        (None, "create a Registry for it"),
        (registry([]), "the management cluster has not reached the registry"),
    ):
        assessment = assess_registry(HOST, known, sets(corp), corp, NOW)
        assert (assessment.evidence, assessment.is_trusted) == ((), None)
        assert assessment.remedy.endswith(f"is unknown: {why}")


def test_a_sufficient_set_leaves_only_causes_on_the_node(served: list[x509.Certificate], corp: TrustSet) -> None:
    known = sets(corp)
    assessment = assess_registry(HOST, registry(served), known, EMPTY_SET, NOW)
    assert assessment.is_trusted
    assert corp.entries[0].fingerprints[0] in assessment.remedy
    assert explain(MESSAGE, assessment.evidence).codes[:2] == (Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE)
    node = NodeFacts(machine="m", node="n", created=NOW, digest=corp.digest)
    assert explain(MESSAGE, [*assessment.evidence, *node_evidence(node, known)]).codes[0] is Code.RUNTIME_STALE
    behind = NodeFacts(machine="m", node="n", created=NOW, digest="f" * 64)
    assert explain(MESSAGE, [*assessment.evidence, *node_evidence(behind, known)]).codes == (Code.TRUST_NOT_APPLIED,)
    assert node_evidence(None, known) == ()


def test_a_ca_of_the_desired_set_is_named(served: list[x509.Certificate], corp: TrustSet) -> None:
    assessment = assess_registry(HOST, registry(served), sets(EMPTY_SET, corp), EMPTY_SET, NOW)
    assert explain(MESSAGE, assessment.evidence).codes == (Code.TRUST_NOT_APPLIED,)
    assert f"entry corp, SHA-256 {corp.entries[0].fingerprints[0]}" in assessment.remedy
    assert assessment.is_trusted is False


def test_a_ca_of_the_service_is_named_for_a_cluster_with_its_own_list(
    served: list[x509.Certificate], corp: TrustSet
) -> None:
    assessment = assess_registry(HOST, registry(served), sets(EMPTY_SET), corp, NOW)
    assert explain(MESSAGE, assessment.evidence).codes == (Code.ISSUER_NOT_TRUSTED,)
    assert "the service's list" in assessment.remedy


def test_an_unlisted_ca_is_described(served: list[x509.Certificate]) -> None:
    assessment = assess_registry(HOST, registry(served), sets(EMPTY_SET), EMPTY_SET, NOW)
    assert explain(MESSAGE, assessment.evidence).codes[0] is Code.ISSUER_NOT_TRUSTED
    assert Code.RUNTIME_STALE not in explain(MESSAGE, assessment.evidence).codes
    assert assessment.remedy == "The fingerprint of the CA is unknown; its name is CN=corp-root"


def test_a_cause_other_than_trust_stays(served: list[x509.Certificate], corp: TrustSet) -> None:
    assessment = assess_registry(HOST, registry(served), sets(corp), EMPTY_SET, NOW)
    codes = explain('Head "https://harbor.corp:5000/v2/": EOF').codes
    assert explain('Head "https://harbor.corp:5000/v2/": EOF', assessment.evidence).codes == codes


def test_an_entry_for_another_registry_does_not_count(served: list[x509.Certificate], corp: TrustSet) -> None:
    scoped = corp.with_scopes({"corp": ["other.corp"]})
    assert assess_registry(HOST, registry(served), sets(scoped), EMPTY_SET, NOW).is_trusted is False


def test_hosts_have_the_form_of_image_references() -> None:
    assert canonical_registry_host(registry([], "Harbor.corp:443")) == "harbor.corp"
    assert canonical_registry_host(registry([], "harbor")) == "harbor"
    harbor = registry([], "harbor.corp:443")
    assert find_registry("harbor.corp", [registry([]), harbor]) is harbor
    assert find_registry("docker.io", [harbor]) is None
    assert [host_name(host) for host in ("a.b:5000", "a.b", "[fd00::1]:5000", "[fd00::1]")] == [
        "a.b",
        "a.b",
        "fd00::1",
        "fd00::1",
    ]
