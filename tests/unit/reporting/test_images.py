from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    ASSESSMENTS,
    MAX_IMAGES,
    NOT_TRUSTED,
    PUBLIC,
    TRUSTED,
    UNKNOWN,
    UNREACHABLE,
    VERDICTS,
    VERIFIED,
    ImageSource,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.api.meta import Metadata
from trustplane.api.registry import Registry, RegistrySpec
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.reporting.images import assess_sources, image_sources, uses_public_ca
from trustplane.trust.entries import EMPTY_SET

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST = "harbor.corp:5000"
DIGEST = "a" * 64
SETS = TrustSets(digest=DIGEST, in_force=EMPTY_SET, desired=EMPTY_SET, source="Service")
REGISTRY = Registry(metadata=Metadata(name="harbor"), spec=RegistrySpec(host=HOST))


def node(name: str, verdict: str, *, at: datetime = NOW) -> NodeFacts:
    result = ProofResult(registry=HOST, verdict=verdict, message="x509: unknown authority")
    proof = RecordedProof(digest=DIGEST, at=at, results=[result])
    created, reached = datetime(2026, 1, 1, tzinfo=UTC), RegistryAccess(registry=HOST, verification=VERIFIED)
    inspection = Inspection(digest=DIGEST, at=at, registries=[reached], registries_at=at)
    return NodeFacts(machine=name, node=name, created=created, digest=DIGEST, proof=proof, inspection=inspection)


def trust_of(*nodes: NodeFacts, host: str = HOST, registries: tuple[Registry, ...] = (REGISTRY,)) -> tuple[str, str]:
    [source], more = assess_sources([ImageSource(host=host)], registries, nodes, SETS, NOW)
    assert more == 0
    return source.trust, source.message


def test_the_example_image_of_a_registry_stays() -> None:
    images = [f"{HOST}/b:1", f"{HOST}/a:1", "busybox", ""]
    listed = image_sources(images)
    assert [(source.host, source.image) for source in listed] == [("docker.io", "busybox"), (HOST, f"{HOST}/a:1")]
    assert image_sources(images, [ImageSource(host=HOST, image=f"{HOST}/b:1")])[1].image == f"{HOST}/b:1"
    assert image_sources(images, [ImageSource(host=HOST, image=f"{HOST}/gone:1")])[1].image == f"{HOST}/a:1"


def test_one_refusing_node_decides() -> None:
    assert trust_of(node("a", TRUSTED)) == (TRUSTED, "proven by 1 of 1 nodes")
    trust, message = trust_of(node("a", TRUSTED), node("b", NOT_TRUSTED))
    assert trust == NOT_TRUSTED
    assert message == "the kubelets of 1 of 2 nodes do not trust it (b): x509: unknown authority"


def test_an_accepted_pull_is_no_proof() -> None:
    unseen = replace(node("a", TRUSTED), inspection=None)
    assert trust_of(unseen)[0] == UNKNOWN
    assert trust_of(unseen, node("b", TRUSTED)) == (TRUSTED, "proven by 1 of 2 nodes")


def test_trust_without_evidence_is_unknown() -> None:
    assert trust_of()[0] == UNKNOWN
    assert "Registry harbor has not been reached" in trust_of(node("a", UNREACHABLE))[1]
    assert "no Registry describes it" in trust_of(registries=())[1]
    old = node("a", NOT_TRUSTED, at=datetime(2025, 1, 1, tzinfo=UTC))  # before the node's last change
    assert trust_of(old)[0] == UNKNOWN


def test_public_registries_need_no_private_ca() -> None:
    for host in ("docker.io", "registry.k8s.io", "eu.gcr.io", "123.dkr.ecr.eu-west-1.amazonaws.com"):
        assert uses_public_ca(host)
        assert trust_of(host=host, registries=())[0] == PUBLIC
    assert not uses_public_ca("docker.io.corp.test")
    assert not uses_public_ca("mygcr.io")


@given(st.lists(st.sampled_from(VERDICTS), max_size=4), st.integers(0, 150))
def test_every_registry_is_assessed_and_the_list_is_bounded(verdicts: list[str], count: int) -> None:
    nodes = [node(str(n), verdict) for n, verdict in enumerate(verdicts)]
    listed, more = assess_sources([ImageSource(host=f"r{n}.corp") for n in range(count)], [REGISTRY], nodes, SETS, NOW)
    assert len(listed) + more == count
    assert len(listed) <= MAX_IMAGES
    assert {source.trust for source in listed} <= set(ASSESSMENTS)
