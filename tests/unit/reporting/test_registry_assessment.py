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
from trustplane.reporting.cluster_trust import Sets
from trustplane.reporting.registry_assessment import knowledge, name_of, on_node, registry_host, registry_named
from trustplane.trust.entries import EMPTY, TrustSet, read
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
    return read([TrustedCA(name="corp", data=data)]).trust


def registry(served: list[x509.Certificate], host: str = HOST) -> Registry:
    chain = [
        ServedCertificate(
            subject=one.subject.rfc4514_string(),
            issuer=one.issuer.rfc4514_string(),
            data=base64.b64encode(one.public_bytes(Encoding.DER)).decode(),
        )
        for one in served
    ]
    return Registry(metadata=Metadata(name="r"), spec=RegistrySpec(host=host), status=RegistryStatus(chain=chain))


def sets(in_force: TrustSet | None, desired: TrustSet | None = None) -> Sets:
    digest = in_force.digest if in_force else "0" * 64
    return Sets(digest=digest, in_force=in_force, desired=in_force if desired is None else desired, source="Service")


def test_nothing_is_known_without_a_registry_or_its_chain(corp: TrustSet) -> None:
    for one, why in ((None, "make a Registry for it"), (registry([]), "the management cluster has not reached it")):
        found = knowledge(HOST, one, sets(corp), corp, NOW)
        assert (found.evidence, found.is_trusted) == ((), None)
        assert found.remedy.endswith(f"is not known: {why}")


def test_a_set_that_would_do_leaves_causes_on_the_node_only(served: list[x509.Certificate], corp: TrustSet) -> None:
    known = sets(corp)
    found = knowledge(HOST, registry(served), known, EMPTY, NOW)
    assert found.is_trusted
    assert corp.entries[0].fingerprints[0] in found.remedy
    assert explain(MESSAGE, found.evidence).codes[:2] == (Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE)
    node = NodeFacts(machine="m", node="n", created=NOW, digest=corp.digest)
    assert explain(MESSAGE, [*found.evidence, *on_node(node, known)]).codes[0] is Code.RUNTIME_STALE
    behind = NodeFacts(machine="m", node="n", created=NOW, digest="f" * 64)
    assert explain(MESSAGE, [*found.evidence, *on_node(behind, known)]).codes == (Code.TRUST_NOT_APPLIED,)
    assert on_node(None, known) == ()


def test_a_ca_that_waits_for_an_update_is_named(served: list[x509.Certificate], corp: TrustSet) -> None:
    found = knowledge(HOST, registry(served), sets(EMPTY, corp), EMPTY, NOW)
    assert explain(MESSAGE, found.evidence).codes == (Code.TRUST_NOT_APPLIED,)
    assert f"entry corp, SHA-256 {corp.entries[0].fingerprints[0]}" in found.remedy
    assert found.is_trusted is False


def test_a_ca_of_the_service_is_named_to_a_cluster_with_its_own_list(
    served: list[x509.Certificate], corp: TrustSet
) -> None:
    found = knowledge(HOST, registry(served), sets(EMPTY), corp, NOW)
    assert explain(MESSAGE, found.evidence).codes == (Code.ISSUER_NOT_TRUSTED,)
    assert "the service's list" in found.remedy


def test_a_ca_that_nobody_has_is_named_as_far_as_it_is_known(served: list[x509.Certificate]) -> None:
    found = knowledge(HOST, registry(served), sets(EMPTY), EMPTY, NOW)
    assert explain(MESSAGE, found.evidence).codes[0] is Code.ISSUER_NOT_TRUSTED
    assert Code.RUNTIME_STALE not in explain(MESSAGE, found.evidence).codes
    assert found.remedy == "The fingerprint of the CA is not known here; its name is CN=corp-root"


def test_another_cause_than_trust_stays_whatever_is_known(served: list[x509.Certificate], corp: TrustSet) -> None:
    found = knowledge(HOST, registry(served), sets(corp), EMPTY, NOW)
    codes = explain('Head "https://harbor.corp:5000/v2/": EOF').codes
    assert explain('Head "https://harbor.corp:5000/v2/": EOF', found.evidence).codes == codes


def test_a_set_for_another_registry_does_not_count(served: list[x509.Certificate], corp: TrustSet) -> None:
    scoped = corp.scoped({"corp": ["other.corp"]})
    assert knowledge(HOST, registry(served), sets(scoped), EMPTY, NOW).is_trusted is False


def test_hosts_as_images_name_them() -> None:
    assert registry_host(registry([], "Harbor.corp:443")) == "harbor.corp"
    assert registry_host(registry([], "harbor")) == "harbor"
    found = registry([], "harbor.corp:443")
    assert registry_named("harbor.corp", [registry([]), found]) is found
    assert registry_named("docker.io", [found]) is None
    assert [name_of(one) for one in ("a.b:5000", "a.b", "[fd00::1]:5000", "[fd00::1]")] == [
        "a.b",
        "a.b",
        "fd00::1",
        "fd00::1",
    ]
