import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trust.hostile import BAD_TIMES, DEEP, DIGEST, RECORDS, annotations, texts

from trustplane.api.clustertrust import (
    IN_PLACE,
    TRUST_APPLIED,
    TRUST_INSPECTION,
    TRUST_PROOF,
    VERDICTS,
    AppliedTrust,
    Inspection,
    ProofResult,
    RecordedProof,
)
from trustplane.trust import recorded
from trustplane.trust.gate import Canary, Member
from trustplane.trust.policy import read_time
from trustplane.trust.propagation import Frozen

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
READERS = {TRUST_APPLIED: recorded.applied, TRUST_PROOF: recorded.proof, TRUST_INSPECTION: recorded.inspection}


def encoded(found: msgspec.Struct) -> str:
    return msgspec.json.encode(found).decode()


def test_what_we_record_is_read_as_it_was() -> None:
    result = ProofResult(registry="r.test:5000", verdict="NotTrusted", reason="Expired", message="x509: expired")
    values = {
        TRUST_APPLIED: AppliedTrust(digest=DIGEST, at=NOW, method=IN_PLACE, restarted=True),
        TRUST_PROOF: RecordedProof(digest=DIGEST[:10], at=NOW, results=[result]),
        TRUST_INSPECTION: Inspection(digest=DIGEST, at=NOW, message="edited by somebody: /a"),
    }
    texts = {name: encoded(value) for name, value in values.items()}
    assert {name: reader(texts, NOW) for name, reader in READERS.items()} == values
    assert recorded.disbelieved(texts, NOW) == []


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("at", BAD_TIMES)
def test_a_time_that_cannot_be_is_not_believed(name: str, at: str) -> None:
    values = {name: json.dumps({"digest": DIGEST, "at": at})}
    assert READERS[name](values, NOW) is None
    assert recorded.disbelieved(values, NOW) == [name]
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
    assert recorded.disbelieved({name: text}, NOW) == [name]


@given(annotations)
def test_whatever_is_written_reading_it_ends_in_something_bounded(values: dict[str, str]) -> None:
    applied, proof, look = (reader(values, NOW) for reader in READERS.values())
    assert set(recorded.disbelieved(values, NOW)) <= values.keys()
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
    Member.read("a", values, is_running=True)


@given(texts)
def test_other_annotations_are_read_whatever_they_are(text: str) -> None:
    Canary.read(text)
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
