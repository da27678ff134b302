"""When a change counts as proven: only by a report about the requested set, and about the machines that exist."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import CONTROL_PLANE_LABEL, TRUST_DIGEST, UPDATE_HANDLED_AT
from trustplane.api.clusterapi import Cluster, Machine
from trustplane.api.clustertrust import (
    NOT_TRUSTED,
    PENDING,
    PROVEN,
    ClusterTrust,
    ClusterTrustStatus,
    NodeTrust,
    Summary,
    TrustInForce,
)
from trustplane.api.meta import Metadata
from trustplane_local.bench.progress import CONTROL_PLANE, WORKERS, Snapshot, Stopwatch, describe_progress

REQUESTED = datetime(2026, 1, 2, tzinfo=UTC)
OLD, NEW = "a" * 64, "b" * 64
NAMES = ("control-plane", "one", "two", "three")


def machine(name: str) -> Machine:
    labels = {CONTROL_PLANE_LABEL: ""} if name.startswith("control-plane") else {}
    return Machine(metadata=Metadata(name=name, uid=f"uid-{name}", labels=labels))


def snapshot(
    states: dict[str, str] | None = None,
    *,
    handled: datetime = REQUESTED,
    reported: str = NEW,
    total: int = len(NAMES),
) -> Snapshot:
    """Return a cluster of four machines; those not named in `states` are proven."""
    annotations = {TRUST_DIGEST: NEW, UPDATE_HANDLED_AT: handled.isoformat()}
    status = ClusterTrustStatus(
        in_force=TrustInForce(digest=reported),
        summary=Summary(total=total),
        nodes=[NodeTrust(machine=name, state=state, message="why") for name, state in (states or {}).items()],
    )
    return Snapshot(
        Cluster(metadata=Metadata(annotations=annotations)),
        ClusterTrust(status=status),
        tuple(machine(name) for name in NAMES),
    )


def test_machines_that_a_report_does_not_name_are_proven() -> None:
    assert snapshot().pending(REQUESTED) == frozenset()
    assert snapshot({"one": PENDING, "two": NOT_TRUSTED}).pending(REQUESTED) == {"one", "two"}


def test_after_a_removal_every_machine_must_refuse() -> None:
    assert snapshot(dict.fromkeys(NAMES, NOT_TRUSTED)).pending(REQUESTED, NOT_TRUSTED) == frozenset()
    states = {"one": NOT_TRUSTED, "two": PENDING}
    assert snapshot(states).pending(REQUESTED, NOT_TRUSTED) == {"control-plane", "two", "three"}


def test_nothing_is_known_before_the_request_is_answered_and_reported() -> None:
    assert Snapshot().pending(REQUESTED) is None
    assert snapshot(handled=REQUESTED - timedelta(microseconds=1)).pending(REQUESTED) is None
    assert snapshot(reported=OLD).pending(REQUESTED) is None
    assert snapshot(total=3).pending(REQUESTED) is None


def test_each_group_has_the_time_of_its_first_proof() -> None:
    watch = Stopwatch(10.0, REQUESTED, {WORKERS: 3, CONTROL_PLANE: 1})
    assert not watch.take(snapshot(reported=OLD), 11.0)
    assert not watch.take(snapshot({"two": PENDING, "control-plane": PENDING}), 12.0)
    assert not watch.take(snapshot({"control-plane": PENDING}), 14.0)
    assert not watch.take(snapshot({"control-plane": PENDING, "one": PENDING}), 15.0)
    assert watch.take(snapshot(), 16.5)
    assert watch.seconds == {WORKERS: 4.0, CONTROL_PLANE: 6.5}


def test_a_group_that_is_smaller_than_it_was_is_not_proven() -> None:
    watch = Stopwatch(0.0, REQUESTED, {WORKERS: 4})
    assert not watch.take(snapshot(), 1.0)


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([PENDING, NOT_TRUSTED])))
def test_a_stopwatch_is_done_exactly_when_nobody_is_pending(states: dict[str, str]) -> None:
    watch = Stopwatch(0.0, REQUESTED, {WORKERS: 3, CONTROL_PLANE: 1})
    assert watch.take(snapshot(states), 1.0) == (not states)


def test_a_wait_that_is_over_names_the_machines_and_why() -> None:
    assert describe_progress(snapshot({"two": PENDING}), REQUESTED) == "two Pending: why"
    assert "unanswered" in describe_progress(snapshot(reported=OLD), REQUESTED)


def test_a_machine_of_the_same_name_is_another_one() -> None:
    same = snapshot()
    assert same.uids == snapshot().uids
    replaced = (*same.machines[1:], Machine(metadata=Metadata(name=NAMES[0], uid="other")))
    assert len(same.uids - Snapshot(machines=replaced).uids) == 1


def test_the_goal_is_proof_unless_it_is_said() -> None:
    assert Stopwatch(0.0, REQUESTED, {}).goal == PROVEN
