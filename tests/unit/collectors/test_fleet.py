import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, UNVERIFIABLE, VERIFIED
from trustplane.collectors.fleet import record

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


def test_a_proof_of_a_node_that_verifies_is_evidence() -> None:
    assert record("n", machine(VERIFIED), None, DIGEST, HOST).trusts == NOW


@pytest.mark.parametrize("unseen", [machine(""), machine(UNVERIFIABLE), machine(VERIFIED, OTHER)])
def test_an_answer_that_was_not_seen_to_be_verified_is_none(unseen: Machine) -> None:
    assert record("n", unseen, None, DIGEST, HOST).trusts is None


def test_a_proof_of_another_registry_or_set_is_none() -> None:
    assert record("n", machine(VERIFIED), None, DIGEST, "other.test").trusts is None
    assert record("n", machine(VERIFIED), None, OTHER, HOST).trusts is None
