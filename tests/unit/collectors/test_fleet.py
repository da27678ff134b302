import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, UNVERIFIABLE, VERIFIED
from trustplane.collectors.fleet import node_record

NOW = datetime.now(UTC) - timedelta(minutes=5)
DIGEST, OTHER, HOST = "a" * 64, "b" * 64, "registry.test"


def machine(verification: str, digest: str = DIGEST) -> Machine:
    at = NOW.isoformat()
    access = [{"registry": HOST, "verification": verification}] if verification else []
    values = {
        TRUST_APPLIED: {"digest": DIGEST, "at": (NOW - timedelta(minutes=1)).isoformat()},
        TRUST_PROOF: {"digest": DIGEST, "at": at, "results": [{"registry": HOST, "verdict": "Trusted"}]},
        TRUST_INSPECTION: {"digest": digest, "at": at, "registries": access, "registriesAt": at},
    }
    annotations = {name: json.dumps(value) for name, value in values.items()}
    return msgspec.convert({"metadata": {"name": "m", "annotations": annotations}}, Machine)


def test_the_proof_of_a_verifying_node_is_evidence() -> None:
    assert node_record("n", machine(VERIFIED), None, DIGEST, HOST).proven_at == NOW


@pytest.mark.parametrize("unverified", [machine(""), machine(UNVERIFIABLE), machine(VERIFIED, OTHER)])
def test_an_answer_without_verification_is_no_evidence(unverified: Machine) -> None:
    assert node_record("n", unverified, None, DIGEST, HOST).proven_at is None


def test_the_proof_of_another_registry_or_set_is_no_evidence() -> None:
    assert node_record("n", machine(VERIFIED), None, DIGEST, "other.test").proven_at is None
    assert node_record("n", machine(VERIFIED), None, OTHER, HOST).proven_at is None
