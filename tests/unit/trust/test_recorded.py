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
from trustplane.rollout.planning.observed import Canary
from trustplane.trust import recorded
from trustplane.trust.policy import read_time
from trustplane.trust.propagation import Frozen

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
READERS = {TRUST_APPLIED: recorded.applied, TRUST_PROOF: recorded.proof, TRUST_INSPECTION: recorded.inspection}


def encoded(found: msgspec.Struct) -> str:
    return msgspec.json.encode(found).decode()


def disbelieved(values: Mapping[str, str]) -> tuple[str, ...]:
    machine = Machine(metadata=Metadata(name="m", namespace="n", annotations=dict(values)))
    return node_facts(machine, now=NOW).ignored_annotations


def largest(count: int) -> tuple[RecordedProof, Inspection]:
    """Return what we write of so many registries whose names and hindrances are as long as they can be."""
    hosts = [f"{number:03}.{'a' * (MAX_HOST_LENGTH - 4)}" for number in range(count)]
    words = '"' * MAX_MESSAGE  # each takes two characters
    results = [ProofResult(host, "NotTrusted", "UnknownAuthority", words, at=NOW) for host in hosts]
    reached = [RegistryAccess(host, UNREADABLE, words, words, words) for host in hosts]
    said = dict.fromkeys(("message", "hidden", "refusal", "error"), '"' * 600)
    look = Inspection(DIGEST, NOW, **said, registries=reached, registries_at=NOW)
    return RecordedProof(DIGEST, NOW, results), look


@pytest.mark.parametrize("count", [0, 1, 20, 50])
def test_the_largest_that_we_record_is_believed_and_keeps_every_decision(count: int) -> None:
    proof, look = largest(count)
    texts = {TRUST_PROOF: recorded.text(proof), TRUST_INSPECTION: recorded.text(look)}
    assert max(map(len, texts.values())) <= recorded.MAX_TEXT
    said, seen = recorded.proof(texts, NOW), recorded.inspection(texts, NOW)
    assert said
    assert seen
    assert [(one.registry, one.verdict, one.reason, one.at) for one in said.results] == [
        (one.registry, one.verdict, one.reason, one.at) for one in proof.results
    ]
    assert [(one.registry, one.verification) for one in seen.registries] == [
        (one.registry, one.verification) for one in look.registries
    ]
    assert all(one.message for one in said.results[: count // 4])


def test_of_as_many_registries_as_are_read_nothing_is_lost() -> None:
    """Names of registries of fifty characters."""
    hosts = [f"{number:03}.{'a' * 46}" for number in range(recorded.MAX_ITEMS)]
    for verdict in VERDICTS:
        proof = RecordedProof(DIGEST, NOW, [ProofResult(host, verdict, "", "x" * 300, at=NOW) for host in hosts])
        said = recorded.proof({TRUST_PROOF: recorded.text(proof)}, NOW)
        assert said
        assert [one.verdict for one in said.results] == [verdict] * recorded.MAX_ITEMS


def test_what_we_record_is_read_as_it_was() -> None:
    result = ProofResult(registry="r.test:5000", verdict="NotTrusted", reason="Expired", message="x509: expired")
    values = {
        TRUST_APPLIED: AppliedTrust(digest=DIGEST, at=NOW, method=IN_PLACE, restarted=True),
        TRUST_PROOF: RecordedProof(digest=DIGEST[:10], at=NOW, results=[result]),
        TRUST_INSPECTION: Inspection(digest=DIGEST, at=NOW, message="edited by somebody: /a"),
    }
    texts = {name: encoded(value) for name, value in values.items()}
    assert {name: reader(texts, NOW) for name, reader in READERS.items()} == values
    assert disbelieved(texts) == ()


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("at", BAD_TIMES)
def test_a_time_that_cannot_be_is_not_believed(name: str, at: str) -> None:
    values = {name: json.dumps({"digest": DIGEST, "at": at})}
    assert READERS[name](values, NOW) is None
    assert disbelieved(values) == (name,)
    assert read_time(at) is None or at == BAD_TIMES[-1]  # a request may be for later


@pytest.mark.parametrize("name", RECORDS)
def test_clocks_may_differ_a_little(name: str) -> None:
    def at(later: timedelta) -> dict[str, str]:
        return {name: json.dumps({"digest": DIGEST, "at": (NOW + later).isoformat()})}

    assert READERS[name](at(recorded.SKEW), NOW) is not None
    assert READERS[name](at(recorded.SKEW + timedelta(seconds=1)), NOW) is None


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("text", [*DEEP, "no json", "[]", "null", '{"digest": 1}', f'{{"digest": "{DIGEST}0"}}', "{}"])
def test_what_is_no_record_counts_as_absent_and_is_told(name: str, text: str) -> None:
    assert READERS[name]({name: text}, NOW) is None
    assert disbelieved({name: text}) == (name,)


@given(annotations)
def test_whatever_is_written_reading_it_ends_in_something_bounded(values: dict[str, str]) -> None:
    applied, proof, look = (reader(values, NOW) for reader in READERS.values())
    assert set(disbelieved(values)) <= values.keys()
    if isinstance(applied, AppliedTrust):
        assert recorded.is_digest(applied.digest)
        assert applied.at is None or applied.at <= NOW + recorded.SKEW
    if isinstance(proof, RecordedProof):
        assert proof.at
        assert proof.at + timedelta(days=365) > proof.at
        for one in proof.results:
            assert one.verdict in VERDICTS
            assert one.registry.isprintable()
            assert len(one.message) <= recorded.MAX_WORDS
            assert one.message.isprintable()
    if isinstance(look, Inspection):
        assert all(one.isprintable() for one in (look.message, look.hidden, look.refusal, look.error))


@given(texts)
def test_other_annotations_are_read_whatever_they_are(text: str) -> None:
    canary = recorded.read(text, Canary)
    assert canary is None or isinstance(canary.machine, str)
    names = Frozen(digest=DIGEST, handled_at=NOW, change="x").annotations()
    found = Frozen.read(dict.fromkeys(names, text))
    assert found is None or (found.digest == "" or recorded.is_digest(found.digest))
    assert found is None or len(found.change) <= 603
    time = read_time(text)
    assert time is None or time + timedelta(days=365) > time


@given(st.datetimes(datetime(2000, 1, 2), datetime(9000, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_a_time_is_read_in_utc(time: datetime) -> None:
    assert read_time(time.isoformat()) == time.astimezone(UTC)


@pytest.mark.parametrize("host", ["token:5000", "secret", "auth.corp.test:443"])
def test_the_name_of_a_registry_is_no_credential(host: str) -> None:
    proof = RecordedProof(digest=DIGEST, at=NOW, results=[ProofResult(registry=host, verdict="Trusted")])
    assert recorded.proof({TRUST_PROOF: encoded(proof)}, NOW) == proof
