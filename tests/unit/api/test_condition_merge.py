from datetime import UTC, datetime, timedelta

from trustplane.api.cluster import ClusterCondition
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.meta import Condition

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = THEN + timedelta(hours=1, microseconds=5)


def test_the_time_changes_with_the_status_alone() -> None:
    old = [
        Condition(type="A", status="True", reason="X", last_transition_time=THEN),
        Condition(type="B", status="True"),
    ]
    new = [
        Condition(type="A", status="True", reason="Y"),
        Condition(type="B", status="True"),
        Condition(type="C", status="False"),
    ]
    assert [(one.type, one.reason, one.last_transition_time) for one in merge(old, new, NOW)] == [
        ("A", "Y", THEN),
        ("B", "", NOW),
        ("C", "", NOW),
    ]
    [changed] = merge(old, [Condition(type="A", status="False")], NOW)
    assert changed.last_transition_time == NOW


def test_every_required_field_is_written() -> None:
    [written] = to_json(merge([], [Condition(type="A")], NOW))
    assert written == {
        "type": "A",
        "status": "Unknown",
        "reason": "",
        "message": "",
        "lastTransitionTime": "2026-01-01T01:00:00Z",
    }
    [written] = to_json([ClusterCondition(type="A", severity="Error", message="m" * 40_000, observed_generation=3)])
    assert (written["severity"], written["observedGeneration"], len(written["message"])) == ("Error", 3, 32_768)
