from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.meta import Condition, condition
from trustplane_local.provider import conditions

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 2, tzinfo=UTC)

OBSERVED = st.builds(
    conditions.ready_conditions,
    st.just(conditions.INSTANCE_READY),
    ready=st.booleans(),
    reason=st.sampled_from([conditions.RUNNING, conditions.STOPPED, conditions.MISSING]),
    message=st.text(),
)


def test_ready_follows_the_kinds_own_condition() -> None:
    observed = conditions.ready_conditions(conditions.INSTANCE_READY, ready=False, reason="Stopped", message="why")
    assert [(one.type, one.status, one.reason, one.message) for one in observed] == [
        ("InstanceReady", "False", "Stopped", "why"),
        ("Ready", "False", "Stopped", "why"),
        ("Paused", "False", "NotPaused", ""),
    ]


def test_time_moves_only_with_the_status() -> None:
    known = conditions.merge_conditions(
        [], conditions.ready_conditions("InstanceReady", ready=True, reason="Running"), 1, EARLIER
    )
    same = conditions.merge_conditions(
        known, conditions.ready_conditions("InstanceReady", ready=True, reason="Other"), 2, NOW
    )
    other = conditions.merge_conditions(
        known, conditions.ready_conditions("InstanceReady", ready=False, reason="Stopped"), 2, NOW
    )
    assert {one.last_transition_time for one in same} == {EARLIER}
    assert [one.last_transition_time for one in other if one.type != "Paused"] == [NOW, NOW]
    assert {one.observed_generation for one in same} == {2}


def test_conditions_of_others_stay() -> None:
    other = Condition(type="Other", status="True", reason="Theirs", last_transition_time=EARLIER)
    merged = conditions.merge_conditions([other], [conditions.paused_condition(paused=True)], 1, NOW)
    assert condition(merged, "Other") == other
    paused = condition(merged, "Paused")
    assert paused is not None
    assert (paused.status, paused.reason) == ("True", "Paused")


@given(OBSERVED, st.integers(0, 5))
def test_the_same_observation_changes_nothing(observed: list[Condition], generation: int) -> None:
    once = conditions.merge_conditions([], observed, generation, EARLIER)
    assert conditions.merge_conditions(once, observed, generation, NOW) == once


@given(OBSERVED)
def test_every_required_field_is_on_the_wire(observed: list[Condition]) -> None:
    for one in conditions.conditions_to_json(conditions.merge_conditions([], observed, 0, NOW)):
        assert one["lastTransitionTime"] == "2026-01-02T00:00:00+00:00"
        assert {"type", "status", "reason", "message", "observedGeneration"} <= one.keys()
