import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trust.hostile import BAD_TIMES, DEEP, DIGEST, RECORDS, annotations, texts

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import (
    IN_PLACE,
    MAX_MESSAGE,
    TRUST_APPLIED,
    TRUST_INSPECTION,
    TRUST_PROOF,
    UNREADABLE,
    VERDICTS,
    AppliedTrust,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.api.limits import MAX_HOST_LENGTH
from trustplane.api.meta import Metadata
from trustplane.clusterapi.machine_facts import node_facts
from trustplane.rollout.planning.inputs import Canary
from trustplane.trust import recorded
from trustplane.trust.propagation import PropagationRecord
from trustplane.trust.recorded import parse_time

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
READERS = {
    TRUST_APPLIED: recorded.read_applied_trust,
    TRUST_PROOF: recorded.read_proof,
    TRUST_INSPECTION: recorded.read_inspection,
}


def encoded(frozen: msgspec.Struct) -> str:
    return msgspec.json.encode(frozen).decode()


def disbelieved(values: Mapping[str, str]) -> tuple[str, ...]:
    machine = Machine(metadata=Metadata(name="m", namespace="n", annotations=dict(values)))
    return node_facts(machine, now=NOW).ignored_annotations


def largest(count: int) -> tuple[RecordedProof, Inspection]:
    """Return the largest records of this many registries, with names and messages of maximum length."""
    hosts = [f"{number:03}.{'a' * (MAX_HOST_LENGTH - 4)}" for number in range(count)]
    message = '"' * MAX_MESSAGE  # each takes two characters
    results = [ProofResult(host, "NotTrusted", "UnknownAuthority", message, at=NOW) for host in hosts]
    reached = [RegistryAccess(host, UNREADABLE, message, message, message) for host in hosts]
    texts = dict.fromkeys(("message", "hidden", "refusal", "error"), '"' * 600)
    inspection = Inspection(DIGEST, NOW, **texts, registries=reached, registries_at=NOW)
    return RecordedProof(DIGEST, NOW, results), inspection


def _decision(result: ProofResult) -> tuple[str, str, str, datetime | None]:
    return result.registry, result.verdict, result.reason, result.at


@pytest.mark.parametrize("count", [0, 1, 20, 50])
def test_the_largest_record_is_valid_and_keeps_every_decision(count: int) -> None:
    proof, inspection = largest(count)
    texts = {TRUST_PROOF: recorded.encode_record(proof), TRUST_INSPECTION: recorded.encode_record(inspection)}
    assert max(map(len, texts.values())) <= recorded.MAX_RECORD_LENGTH
    read_proof, read_inspection = recorded.read_proof(texts, NOW), recorded.read_inspection(texts, NOW)
    assert read_proof
    assert read_inspection
    assert [_decision(result) for result in read_proof.results] == [_decision(result) for result in proof.results]
    assert [(access.registry, access.verification) for access in read_inspection.registries] == [
        (access.registry, access.verification) for access in inspection.registries
    ]
    assert all(result.message for result in read_proof.results[: count // 4])


def test_a_record_of_the_maximum_of_registries_loses_no_verdict() -> None:
    """The names of the registries have fifty characters."""
    hosts = [f"{number:03}.{'a' * 46}" for number in range(recorded.MAX_RECORD_ITEMS)]
    for verdict in VERDICTS:
        proof = RecordedProof(DIGEST, NOW, [ProofResult(host, verdict, "", "x" * 300, at=NOW) for host in hosts])
        record = recorded.read_proof({TRUST_PROOF: recorded.encode_record(proof)}, NOW)
        assert record
        assert [result.verdict for result in record.results] == [verdict] * recorded.MAX_RECORD_ITEMS


def test_records_are_read_unchanged() -> None:
    result = ProofResult(registry="r.test:5000", verdict="NotTrusted", reason="Expired", message="x509: expired")
    values = {
        TRUST_APPLIED: AppliedTrust(digest=DIGEST, at=NOW, method=IN_PLACE, restarted=True),
        TRUST_PROOF: RecordedProof(digest=DIGEST[:10], at=NOW, results=[result]),
        TRUST_INSPECTION: Inspection(digest=DIGEST, at=NOW, message="edited: /a"),
    }
    texts = {name: encoded(value) for name, value in values.items()}
    assert {name: reader(texts, NOW) for name, reader in READERS.items()} == values
    assert disbelieved(texts) == ()


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("at", BAD_TIMES)
def test_an_implausible_time_invalidates_a_record(name: str, at: str) -> None:
    values = {name: json.dumps({"digest": DIGEST, "at": at})}
    assert READERS[name](values, NOW) is None
    assert disbelieved(values) == (name,)
    assert parse_time(at) is None or at == BAD_TIMES[-1]  # a request may lie in the future


@pytest.mark.parametrize("name", RECORDS)
def test_clocks_may_differ_a_little(name: str) -> None:
    def at(later: timedelta) -> dict[str, str]:
        return {name: json.dumps({"digest": DIGEST, "at": (NOW + later).isoformat()})}

    assert READERS[name](at(recorded.MAX_CLOCK_SKEW), NOW) is not None
    assert READERS[name](at(recorded.MAX_CLOCK_SKEW + timedelta(seconds=1)), NOW) is None


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("text", [*DEEP, "no json", "[]", "null", '{"digest": 1}', f'{{"digest": "{DIGEST}0"}}', "{}"])
def test_an_invalid_record_is_absent_and_reported(name: str, text: str) -> None:
    assert READERS[name]({name: text}, NOW) is None
    assert disbelieved({name: text}) == (name,)


@given(annotations)
def test_records_are_bounded_for_any_annotations(values: dict[str, str]) -> None:
    applied, proof, inspection = (reader(values, NOW) for reader in READERS.values())
    assert set(disbelieved(values)) <= values.keys()
    if isinstance(applied, AppliedTrust):
        assert recorded.is_digest(applied.digest)
        assert applied.at is None or applied.at <= NOW + recorded.MAX_CLOCK_SKEW
    if isinstance(proof, RecordedProof):
        assert proof.at
        assert proof.at + timedelta(days=365) > proof.at
        for result in proof.results:
            assert result.verdict in VERDICTS
            assert result.registry.isprintable()
            assert len(result.message) <= recorded.MAX_RECORD_TEXT_LENGTH
            assert result.message.isprintable()
    if isinstance(inspection, Inspection):
        assert all(
            text.isprintable() for text in (inspection.message, inspection.hidden, inspection.refusal, inspection.error)
        )


@given(texts)
def test_other_annotations_can_be_read_for_any_value(text: str) -> None:
    canary = recorded.decode_record(text, Canary)
    assert canary is None or isinstance(canary.machine, str)
    names = PropagationRecord(digest=DIGEST, handled_at=NOW, change="x").to_annotations()
    frozen = PropagationRecord.from_annotations(dict.fromkeys(names, text))
    assert frozen is None or (frozen.digest == "" or recorded.is_digest(frozen.digest))
    assert frozen is None or len(frozen.change) <= 603
    time = parse_time(text)
    assert time is None or time + timedelta(days=365) > time


@given(st.datetimes(datetime(2000, 1, 2), datetime(9000, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_a_time_is_read_in_utc(time: datetime) -> None:
    assert parse_time(time.isoformat()) == time.astimezone(UTC)


@pytest.mark.parametrize("host", ["token:5000", "secret", "auth.corp.test:443"])
def test_the_name_of_a_registry_is_not_redacted(host: str) -> None:
    proof = RecordedProof(digest=DIGEST, at=NOW, results=[ProofResult(registry=host, verdict="Trusted")])
    assert recorded.read_proof({TRUST_PROOF: encoded(proof)}, NOW) == proof
