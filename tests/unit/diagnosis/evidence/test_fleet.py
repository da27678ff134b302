import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.controllers.fleet import NAMESPACE, trust
from tests.unit.controllers.supervisor import Supervised, old

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, UNVERIFIABLE, VERIFIED
from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.clusterapi import secret
from trustplane.diagnosis.evidence.fleet import node_record, read_cluster_sets, read_other_sets
from trustplane.kube import kinds

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


SHOP, WEB = Key(NAMESPACE, "shop"), Key(NAMESPACE, "web")
EDITED = {name: secret.set_data(old()).get(name) for name in secret.set_data(trust())}


def fleet() -> tuple[Supervised, Any]:
    """Two clusters with the same set, and their management cluster."""
    found = Supervised("shop", "web")
    return found, found.server


async def test_the_set_in_force_is_evidence_as_long_as_it_is_the_one_of_its_name() -> None:
    found, client = fleet()
    known = await read_cluster_sets(client, SHOP)
    assert known.in_force
    assert [one.name for one in known.in_force.entries] == ["corp", "edge"]
    found.change(kinds.SECRETS, f"shop-trust-{trust().short}", {"data": EDITED})
    edited = await read_cluster_sets(client, SHOP)
    assert (edited.in_force, edited.since, edited.digest) == (None, None, trust().digest)


async def test_an_edited_set_of_another_cluster_is_no_evidence_and_hides_nobody_elses() -> None:
    found, client = fleet()
    assert [keys for keys, _ in await read_other_sets(client)] == [(SHOP, WEB)]
    found.change(kinds.SECRETS, f"shop-trust-{trust().short}", {"data": EDITED})
    [(keys, entries)] = await read_other_sets(client)
    assert keys == (WEB,)
    assert [one.name for one in entries.entries] == ["corp", "edge"]


async def test_equal_sets_of_other_clusters_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = fleet()
    reads: list[str] = []
    read = secret.parse_set_of_digest

    def counted(kept: Secret, digest: str) -> Any:
        reads.append(kept.metadata.name)
        return read(kept, digest)

    monkeypatch.setattr(secret, "read_set", counted)
    await read_other_sets(client)
    assert len(reads) == 1
