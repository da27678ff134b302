"""`trustplane undo`: pin an earlier set until the next update request."""

import datetime as dt
from dataclasses import replace

import msgspec
import pytest
from tests.apiserver.controllers.conftest import entry, make_ca

from trustplane.api.configuration import TrustedCA
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustSet, parse_list
from trustplane.trust.policy import Policy
from trustplane.trust.propagation import (
    SET_UNDONE,
    UPDATE_REQUESTED,
    PropagationInput,
    PropagationRecord,
    UndoPin,
    decide_propagation,
)

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def trust_of(*names: str) -> TrustSet:
    return parse_list([msgspec.convert(entry(name, make_ca(name)), TrustedCA) for name in names]).trust


BEFORE, AFTER = trust_of("corp", "edge"), trust_of("corp", "edge", "extra")


def situation(*, pinned: TrustSet | None = BEFORE, allow_removal: bool = False) -> PropagationInput:
    """Return the input for a cluster with AFTER in force, pinned to an earlier set."""
    digest = pinned.digest if pinned is not None else "a" * 64
    return PropagationInput(
        record=PropagationRecord(digest=AFTER.digest, previous=BEFORE.digest, first_customisation_handled=True),
        in_force=AFTER,
        service=ParsedList(AFTER),
        last_good=AFTER,
        own=None,
        policy=Policy(),
        first_customized_at=NOW,
        update_digests={},
        now=NOW,
        pin=UndoPin(digest, NOW, allow_removal),
        pinned=pinned,
    )


def test_the_earlier_set_is_taken_and_the_difference_reported() -> None:
    decision = decide_propagation(situation())
    assert (decision.trust, decision.takes_set, decision.reason, decision.is_current) == (
        BEFORE,
        True,
        SET_UNDONE,
        False,
    )
    assert decision.record is not None
    assert decision.record.previous == AFTER.digest  # a second undo brings back the newer set
    assert "extra" in decision.difference.text


def test_the_pinned_set_stays_under_any_desired_set() -> None:
    taken = decide_propagation(situation())
    later = replace(situation(), record=taken.record, in_force=BEFORE, update_digests={"version": "other"})
    decision = decide_propagation(later)
    assert (decision.trust, decision.takes_set, decision.reason) == (BEFORE, False, SET_UNDONE)


def test_a_later_update_request_ends_the_undo() -> None:
    text = situation().pin.encode()  # type: ignore[union-attr]
    assert UndoPin.parse(text, None) is not None
    assert UndoPin.parse(text, NOW - dt.timedelta(seconds=1)) is not None
    assert UndoPin.parse(text, NOW + dt.timedelta(seconds=1)) is None
    ended = replace(situation(), pin=None, pinned=None, policy=Policy(requests=(NOW,)))
    assert (
        decide_propagation(replace(ended, in_force=BEFORE, record=PropagationRecord(digest=BEFORE.digest))).reason
        == UPDATE_REQUESTED
    )


def test_an_undo_is_subject_to_the_removal_guard() -> None:
    refused = decide_propagation(situation(pinned=EMPTY_SET))
    assert (refused.trust, refused.takes_set) == (AFTER, False)
    assert "removal-not-allowed" in {finding.code for finding in refused.findings}
    assert decide_propagation(situation(pinned=EMPTY_SET, allow_removal=True)).trust == EMPTY_SET


def test_a_lost_secret_changes_nothing() -> None:
    decision = decide_propagation(situation(pinned=None))
    assert (decision.trust, decision.takes_set) == (AFTER, False)
    assert "no-previous-set" in {finding.code for finding in decision.findings}


@pytest.mark.parametrize("text", ["", "{}", "null", '{"digest":"x","at":"2026-01-01T00:00:00Z"}', '{"digest":1}'])
def test_an_invalid_pin_is_none(text: str) -> None:
    assert UndoPin.parse(text, None) is None


def test_the_previous_digest_survives_on_the_cluster() -> None:
    frozen = PropagationRecord(digest=AFTER.digest, previous=BEFORE.digest)
    read_again = PropagationRecord.from_annotations(frozen.to_annotations())
    assert read_again is not None
    assert read_again.previous == BEFORE.digest
