"""`trustplane undo`: an earlier set that is pinned, until an update is requested."""

import datetime as dt
from dataclasses import replace

import msgspec
import pytest
from tests.apiserver.controllers.conftest import entry, make_ca

from trustplane.api.configuration import TrustedCA
from trustplane.trust.entries import EMPTY, Reading, TrustSet, read
from trustplane.trust.policy import Policy
from trustplane.trust.propagation import REQUESTED, UNDONE, Frozen, Pin, Situation, decide

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def trust_of(*names: str) -> TrustSet:
    return read([msgspec.convert(entry(name, make_ca(name)), TrustedCA) for name in names]).trust


BEFORE, AFTER = trust_of("corp", "edge"), trust_of("corp", "edge", "extra")


def situation(*, pinned: TrustSet | None = BEFORE, allow_removal: bool = False) -> Situation:
    """Return that of a cluster that has taken AFTER, and is to go back to a set."""
    digest = pinned.digest if pinned is not None else "a" * 64
    return Situation(
        frozen=Frozen(digest=AFTER.digest, previous=BEFORE.digest, first_customisation_handled=True),
        in_force=AFTER,
        service=Reading(AFTER),
        last_good=AFTER,
        own=None,
        policy=Policy(),
        first_customized_at=NOW,
        update_digests={},
        now=NOW,
        pin=Pin(digest, NOW, allow_removal),
        pinned=pinned,
    )


def test_the_earlier_set_is_taken_and_what_is_held_back_is_said() -> None:
    decision = decide(situation())
    assert (decision.trust, decision.taken, decision.reason, decision.current) == (BEFORE, True, UNDONE, False)
    assert decision.frozen is not None
    assert decision.frozen.previous == AFTER.digest  # to undo twice is to have the newer set again
    assert "extra" in decision.difference.text


def test_it_stays_whatever_the_lists_ask_for() -> None:
    taken = decide(situation())
    later = replace(situation(), frozen=taken.frozen, in_force=BEFORE, update_digests={"version": "other"})
    decision = decide(later)
    assert (decision.trust, decision.taken, decision.reason) == (BEFORE, False, UNDONE)


def test_an_update_that_is_requested_later_ends_it() -> None:
    text = situation().pin.text()  # type: ignore[union-attr]
    assert Pin.read(text, None) is not None
    assert Pin.read(text, NOW - dt.timedelta(seconds=1)) is not None
    assert Pin.read(text, NOW + dt.timedelta(seconds=1)) is None
    ended = replace(situation(), pin=None, pinned=None, policy=Policy(requested_at=NOW))
    assert decide(replace(ended, in_force=BEFORE, frozen=Frozen(digest=BEFORE.digest))).reason == REQUESTED


def test_more_than_half_is_removed_with_permission_only() -> None:
    refused = decide(situation(pinned=EMPTY))
    assert (refused.trust, refused.taken) == (AFTER, False)
    assert "removal-not-allowed" in {one.code for one in refused.findings}
    assert decide(situation(pinned=EMPTY, allow_removal=True)).trust == EMPTY


def test_a_set_whose_secret_is_gone_changes_nothing() -> None:
    decision = decide(situation(pinned=None))
    assert (decision.trust, decision.taken) == (AFTER, False)
    assert "no-previous-set" in {one.code for one in decision.findings}


@pytest.mark.parametrize("text", ["", "{}", "null", '{"digest":"x","at":"2026-01-01T00:00:00Z"}', '{"digest":1}'])
def test_a_pin_that_cannot_be_read_is_none(text: str) -> None:
    assert Pin.read(text, None) is None


def test_what_was_before_survives_on_the_cluster() -> None:
    frozen = Frozen(digest=AFTER.digest, previous=BEFORE.digest)
    read_again = Frozen.read(frozen.annotations())
    assert read_again is not None
    assert read_again.previous == BEFORE.digest
