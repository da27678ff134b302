"""The rules of a rollout by example, then by properties of any observation."""

from dataclasses import replace as changed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustplane.rollout.planning.inputs import REPLACE_MACHINES, Canary, RolloutInput, RolloutNode
from trustplane.rollout.planning.plan import plan_rollout
from trustplane.rollout.planning.steps import (
    ObstructedMachines,
    ReplacementObstacle,
    RolloutNote,
    RolloutReason,
    RolloutState,
    RolloutStep,
    StepAction,
)

OLD, NEW, OTHER = "old", "new", "other"


def worker(name: str, observed: str | None = OLD, **facts: object) -> RolloutNode:
    return changed(RolloutNode(name=name, group="pool", booted_with=OLD, observed=observed), **facts)


def control_plane(name: str, observed: str | None = OLD, **facts: object) -> RolloutNode:
    return changed(RolloutNode(name=name, is_control_plane=True, booted_with=OLD, observed=observed), **facts)


def proven(name: str, **facts: object) -> RolloutNode:
    return worker(name, observed=NEW, proven=NEW, **facts)


def cluster(*nodes: RolloutNode, **facts: object) -> RolloutInput:
    """Return a cluster whose nodes booted with a proven set, while another set is in force."""
    return changed(RolloutInput(in_force=NEW, boot_set=OLD, last_proven=OLD, nodes=nodes), **facts)


def opened(*nodes: RolloutNode, **facts: object) -> RolloutInput:
    """Return the same cluster after its canary has proven the new set."""
    return cluster(*nodes, boot_set=NEW, last_proven=NEW, **facts)


ELECTED = Canary("a", NEW)


# The canary.


def test_only_the_canary_is_recorded_and_written() -> None:
    result = plan_rollout(cluster(worker("a"), worker("b")))
    assert result.steps == (RolloutStep(StepAction.RECORD_CANARY, "a"), RolloutStep(StepAction.WRITE, "a"))
    assert (result.state, result.reason, result.machines) == (RolloutState.UPDATING, RolloutReason.CANARY, ("a",))


def test_after_a_crash_the_recorded_canary_stays() -> None:
    assert plan_rollout(cluster(worker("0"), worker("a"), canary=ELECTED)).steps == (
        RolloutStep(StepAction.WRITE, "a"),
    )


def test_the_others_wait_for_the_proof_of_the_canary() -> None:
    result = plan_rollout(cluster(worker("a", NEW), worker("b"), canary=ELECTED))
    assert result.steps == ()
    assert (result.state, result.reason, result.machines) == (RolloutState.UPDATING, RolloutReason.PROVING, ("a",))


def test_after_the_proof_comes_the_record_then_the_boot_set_then_the_others() -> None:
    result = plan_rollout(cluster(proven("a"), worker("b"), worker("c"), canary=ELECTED))
    assert result.steps == (
        RolloutStep(StepAction.RECORD_PROVEN, NEW),
        RolloutStep(StepAction.WRITE_BOOT_SET, NEW),
        RolloutStep(StepAction.WRITE, "b"),
        RolloutStep(StepAction.WRITE, "c"),
    )


def test_a_refusing_canary_stops_the_rollout() -> None:
    result = plan_rollout(cluster(worker("a", NEW, refused=NEW), worker("b"), canary=ELECTED))
    assert (result.state, result.reason, result.machines) == (RolloutState.STOPPED, RolloutReason.REFUSED, ("a",))
    assert "a refuses a registry" in result.message
    assert result.steps == ()


def test_a_corrected_set_starts_again() -> None:
    result = plan_rollout(cluster(worker("a", OTHER, refused=OTHER), worker("b"), canary=Canary("a", OTHER)))
    assert result.write == ("a",)
    assert result.canary == Canary("a", NEW)


@pytest.mark.parametrize(
    "lost", [{"is_reachable": False}, {"is_busy": True}, {"has_joined": False}, {"has_drifted": True, "observed": NEW}]
)
def test_a_canary_that_cannot_prove_is_replaced(lost: dict[str, object]) -> None:
    result = plan_rollout(cluster(changed(worker("a"), **lost), worker("b"), canary=ELECTED))
    assert (result.canary, result.write) == (Canary("b", NEW), ("b",))


def test_a_deleted_canary_is_replaced() -> None:
    assert plan_rollout(cluster(worker("b"), canary=ELECTED)).canary == Canary("b", NEW)


def test_a_failing_canary_stays_because_the_set_may_be_the_cause() -> None:
    result = plan_rollout(cluster(worker("a", update_error="containerd does not start"), worker("b"), canary=ELECTED))
    assert result.write == ("a",)
    assert (result.state, result.reason, result.machines) == (RolloutState.WAITING, RolloutReason.FAILING, ("a",))


def test_a_worker_is_preferred_as_canary() -> None:
    assert plan_rollout(cluster(control_plane("a"), worker("b"))).write == ("b",)
    assert plan_rollout(cluster(control_plane("a"), control_plane("b"))).write == ("a",)


def test_a_node_that_can_prove_is_preferred_as_canary() -> None:
    assert plan_rollout(cluster(worker("a", is_unverifiable=True), worker("b"))).write == ("b",)


def test_a_machine_that_booted_with_the_set_is_preferred_as_canary() -> None:
    result = plan_rollout(cluster(worker("a"), worker("b", None, booted_with=NEW)))
    assert (result.canary, result.write, result.machines) == (Canary("b", NEW), (), ("b",))


def test_an_unverifiable_canary_blocks_no_node() -> None:
    assert plan_rollout(cluster(worker("a", NEW, is_unverifiable=True), worker("b"), canary=ELECTED)).write == ("b",)


def test_a_set_that_was_proven_before_needs_no_canary() -> None:
    assert plan_rollout(opened(worker("a", OTHER), worker("b", OTHER))).write == ("a", "b")


# The other nodes.


def test_the_number_of_simultaneous_writes_is_limited() -> None:
    nodes = [worker(f"{number:02}", is_writing=number < 4) for number in range(20)]
    assert plan_rollout(opened(*nodes)).write == ("04", "05", "06", "07", "08", "09")


def test_the_fleet_may_allow_fewer_writes() -> None:
    nodes = [worker("a"), worker("b"), worker("c")]
    assert plan_rollout(opened(*nodes, fleet_allowance=1)).write == ("a",)
    result = plan_rollout(opened(*nodes, fleet_allowance=0))
    assert (result.state, result.reason, result.steps) == (RolloutState.WAITING, RolloutReason.LIMITED, ())


def test_the_canary_waits_for_the_fleets_limit() -> None:
    result = plan_rollout(cluster(worker("a"), fleet_allowance=0))
    assert (result.state, result.reason, result.write) == (RolloutState.WAITING, RolloutReason.LIMITED, ())


def test_a_node_is_not_written_twice_at_a_time() -> None:
    assert plan_rollout(cluster(worker("a", is_writing=True), canary=ELECTED)).steps == ()


def test_a_control_plane_node_is_recorded_and_written_with_the_workers() -> None:
    result = plan_rollout(opened(control_plane("c1"), control_plane("c2"), worker("w")))
    assert (result.canary, result.write) == (Canary("c1", NEW), ("c1", "w"))


@pytest.mark.parametrize(
    "facts", [{"observed": NEW}, {"is_writing": True}, {"update_error": "no space left", "is_backing_off": True}]
)
def test_the_next_control_plane_node_waits_for_the_previous_one(facts: dict[str, object]) -> None:
    first = changed(control_plane("c1"), **facts)
    assert plan_rollout(opened(first, control_plane("c2"), canary=Canary("c1", NEW))).write == ()


@pytest.mark.parametrize(
    "facts",
    [{"is_reachable": False}, {"is_busy": True}, {"proven": NEW}, {"is_unverifiable": True}, {"has_drifted": True}],
)
def test_the_next_control_plane_node_does_not_wait_for_nodes_that_cannot_prove(facts: dict[str, object]) -> None:
    first = changed(control_plane("c1", NEW), **facts)
    assert plan_rollout(opened(first, control_plane("c2"), canary=Canary("c1", NEW))).write == ("c2",)


def test_a_control_plane_canary_waits_for_earlier_writes_to_the_control_plane() -> None:
    result = plan_rollout(cluster(control_plane("c1"), control_plane("c2", is_writing=True)))
    assert (result.canary, result.write) == (Canary("c1", NEW), ())


def test_after_a_crash_the_recorded_control_plane_node_is_finished_first() -> None:
    assert plan_rollout(opened(control_plane("c1"), control_plane("c2"), canary=Canary("c2", NEW))).write == ("c2",)


def test_a_later_refusing_node_stops_the_rollout() -> None:
    result = plan_rollout(opened(proven("a"), worker("b", NEW, refused=NEW), worker("c")))
    assert (result.state, result.machines, result.write, result.boot_set) == (RolloutState.STOPPED, ("b",), (), None)


def test_failing_nodes_do_not_use_up_the_limit() -> None:
    assert plan_rollout(opened(worker("a", update_error="no space left"), worker("b"), fleet_allowance=1)).write == (
        "b",
    )
    assert (
        plan_rollout(opened(worker("a", update_error="no space left", is_backing_off=True), proven("b"))).reason
        is RolloutReason.FAILING
    )


def test_nodes_that_booted_with_the_set_need_only_a_proof() -> None:
    result = plan_rollout(opened(proven("a"), worker("b", None, booted_with=NEW)))
    assert (result.reason, result.machines, result.steps) == (RolloutReason.PROVING, ("b",), ())


def test_a_rollout_is_complete_when_every_node_has_proven_the_set() -> None:
    result = plan_rollout(opened(proven("a"), proven("b")))
    assert (result.state, result.reason, result.steps) == (RolloutState.CURRENT, RolloutReason.UP_TO_DATE, ())


def test_a_rollout_waits_until_machines_have_joined() -> None:
    result = plan_rollout(opened(proven("a"), worker("b", None, booted_with=NEW, has_joined=False)))
    assert (result.state, result.reason, result.steps) == (RolloutState.UPDATING, RolloutReason.JOINING, ())
    result = plan_rollout(opened(proven("a"), worker("b", None, booted_with=NEW, has_joined=False, is_stuck=True)))
    assert (result.state, result.reason, result.machines) == (RolloutState.WAITING, RolloutReason.STUCK, ("b",))


# Unreachable, busy and drifted nodes.


def test_unreachable_nodes_delay_no_node_and_are_named() -> None:
    away = worker("a", is_reachable=False)
    assert plan_rollout(cluster(away, worker("b"))).write == ("b",)
    result = plan_rollout(opened(away, proven("b")))
    assert (result.state, result.reason, result.machines, result.steps) == (
        RolloutState.WAITING,
        RolloutReason.UNREACHABLE,
        ("a",),
        (),
    )
    assert plan_rollout(opened(changed(away, is_reachable=True), proven("b"))).write == ("a",)


def test_a_hanging_write_does_not_use_up_the_limit() -> None:
    nodes = (worker("a", is_reachable=False, is_writing=True), worker("b"))
    assert plan_rollout(opened(*nodes, write_limit=1)).write == ("b",)


def test_busy_machines_are_not_touched() -> None:
    result = plan_rollout(opened(worker("a", is_busy=True), worker("b", NEW, is_busy=True)))
    assert (result.state, result.reason, result.machines, result.steps) == (
        RolloutState.WAITING,
        RolloutReason.BUSY,
        ("a", "b"),
        (),
    )


def test_drift_is_repaired_only_on_request() -> None:
    nodes = (proven("a"), proven("b", has_drifted=True))
    result = plan_rollout(opened(*nodes))
    assert (result.state, result.reason, result.machines, result.steps) == (
        RolloutState.DRIFTED,
        RolloutReason.DRIFTED,
        ("b",),
        (),
    )
    assert plan_rollout(opened(*nodes, repairs_drift=True)).write == ("b",)


def test_a_drifted_refusing_node_does_not_stop_the_rollout() -> None:
    assert plan_rollout(
        opened(proven("a"), worker("b", NEW, has_drifted=True, refused=NEW), repairs_drift=True)
    ).write == ("b",)


def test_a_node_with_an_unknown_set_is_written() -> None:
    assert plan_rollout(opened(proven("a"), worker("b", None, booted_with=None))).write == ("b",)


def test_lost_workers_are_replaced_on_request_one_at_a_time() -> None:
    lost = [worker(name, is_reachable=False, is_replaceable=True) for name in "abc"]
    assert plan_rollout(opened(*lost, proven("d"))).delete == ()
    assert plan_rollout(opened(*lost, proven("d"), replace_unreachable=True)).delete == ("a",)
    going = (changed(lost[0], is_busy=True), *lost[1:], proven("d"))
    assert plan_rollout(opened(*going, replace_unreachable=True)).delete == ()
    joining = (worker("e", None, booted_with=NEW, has_joined=False), *lost[1:], proven("d"))
    assert plan_rollout(opened(*joining, replace_unreachable=True)).delete == ()


@pytest.mark.parametrize(
    "facts", [{"is_replaceable": False}, {"observed": NEW}, {"is_reachable": True}, {"is_busy": True}]
)
def test_only_replaceable_lost_workers_are_deleted(facts: dict[str, object]) -> None:
    lost = changed(worker("a", is_reachable=False, is_replaceable=True), **facts)
    assert plan_rollout(opened(lost, proven("d"), replace_unreachable=True)).delete == ()


def test_no_machine_is_deleted_before_promotion() -> None:
    lost = worker("a", is_reachable=False, is_replaceable=True)
    assert plan_rollout(cluster(lost, proven("d"), replace_unreachable=True)).delete == ()
    requested = cluster(lost, worker("d", NEW), replace_unreachable=True, boot_set=NEW)
    assert plan_rollout(requested).delete == ()


def test_a_lost_control_plane_node_is_remediated_while_two_others_are_healthy() -> None:
    lost = control_plane("a", is_reachable=False, is_replaceable=True)
    well = [control_plane(name, NEW, proven=NEW) for name in "bc"]
    result = plan_rollout(opened(lost, *well, replace_unreachable=True))
    assert (result.delete, result.remediate) == ((), ("a",))
    assert plan_rollout(opened(lost, replace_unreachable=True)).steps == ()
    assert plan_rollout(opened(lost, well[0], replace_unreachable=True)).steps == ()
    assert plan_rollout(opened(lost, well[0], changed(well[1], is_busy=True), replace_unreachable=True)).remediate == ()
    assert (
        plan_rollout(opened(lost, well[0], changed(well[1], is_marked=True), replace_unreachable=True)).remediate == ()
    )
    assert plan_rollout(opened(lost, *well, replace_unreachable=True, is_deleting_machines=True)).remediate == ()


def test_a_marked_machine_is_not_marked_again_and_delays_no_worker() -> None:
    marked = control_plane("a", is_reachable=False, is_replaceable=True, is_marked=True)
    well = [control_plane(name, NEW, proven=NEW) for name in "bc"]
    assert plan_rollout(opened(marked, *well, replace_unreachable=True)).steps == ()
    lost = worker("d", is_reachable=False, is_replaceable=True)
    assert plan_rollout(opened(marked, *well, lost, replace_unreachable=True)).delete == ("d",)
    assert plan_rollout(opened(marked, *well, lost, replace_unreachable=True, is_deleting_machines=True)).delete == ()


LOST = control_plane("a", is_reachable=False, is_replaceable=True)
WELL = [control_plane(name, NEW, proven=NEW) for name in "bc"]


@pytest.mark.parametrize(
    ("nodes", "facts", "obstacle"),
    [
        ([LOST, *WELL], {}, None),
        ([LOST, *WELL], {"is_deleting_machines": True}, ReplacementObstacle.OTHERS),
        ([LOST, WELL[0]], {"is_deleting_machines": True}, ReplacementObstacle.OTHERS),
        ([LOST, WELL[0], changed(WELL[1], is_reachable=False, observed=NEW)], {}, ReplacementObstacle.OTHERS),
        ([changed(LOST, is_marked=True), *WELL], {}, ReplacementObstacle.MARKED),
        ([changed(LOST, is_replaceable=False), *WELL], {}, ReplacementObstacle.UNCHECKED),
        ([changed(LOST, is_replaceable=False)], {}, ReplacementObstacle.TOO_FEW),
        ([LOST, WELL[0]], {}, ReplacementObstacle.TOO_FEW),
        ([proven("d"), worker("a", is_reachable=False, is_replaceable=True)], {}, None),
        ([proven("d"), worker("a", is_reachable=False)], {}, ReplacementObstacle.ALONE),
        ([proven("d"), changed(LOST, observed=NEW)], {}, None),
    ],
)
def test_the_obstacle_to_a_requested_replacement_is_reported(
    nodes: list[RolloutNode], facts: dict[str, object], obstacle: ReplacementObstacle | None
) -> None:
    subject = opened(*nodes, replace_unreachable=True, **facts)
    result = plan_rollout(subject)
    assert result.obstructed == ((ObstructedMachines(obstacle, ("a",)),) if obstacle else ())
    assert result.remark.startswith("a ") is (obstacle is not None)
    if obstacle is not None:
        assert (result.delete, result.remediate) == ((), ())
    for silent in (
        changed(subject, replace_unreachable=False),
        changed(subject, is_paused=True),
        changed(subject, strategy=REPLACE_MACHINES),
    ):
        assert plan_rollout(silent).obstructed == ()


# The boot set.


def test_the_machines_of_a_new_cluster_boot_with_the_set() -> None:
    result = plan_rollout(RolloutInput(in_force=NEW))
    assert result.steps == (RolloutStep(StepAction.WRITE_BOOT_SET, NEW),)
    assert plan_rollout(RolloutInput(in_force=NEW, boot_set=NEW)).reason is RolloutReason.NO_NODES


@pytest.mark.parametrize(
    "subject",
    [
        cluster(),
        cluster(worker("a"), has_registry=False),
        cluster(worker("a", is_reachable=False)),
        cluster(worker("a", is_unverifiable=True)),
        cluster(worker("a", has_joined=False)),
        cluster(worker("a"), worker("b", has_joined=False, is_stuck=True)),
    ],
    ids=["no nodes", "no Registry", "no reachable node", "unverifiable", "none joined", "the old set prevents joining"],
)
def test_the_set_is_promoted_immediately_if_no_node_can_prove_it(subject: RolloutInput) -> None:
    assert plan_rollout(subject).boot_set == NEW


def test_a_machine_stuck_for_another_reason_does_not_promote_the_set() -> None:
    stuck = worker("b", None, booted_with=OTHER, has_joined=False, is_stuck=True)
    assert plan_rollout(cluster(worker("a"), stuck)).boot_set is None


def test_a_promoted_set_is_reverted_once_when_it_is_refused() -> None:
    subject = cluster(worker("a", NEW, refused=NEW), worker("b", has_joined=False, is_stuck=True), boot_set=NEW)
    assert plan_rollout(subject).boot_set == OLD
    assert plan_rollout(changed(subject, boot_set=OLD)).boot_set is None


def test_a_promoted_set_stays_until_it_is_refused() -> None:
    assert plan_rollout(cluster(worker("a"), boot_set=NEW)).boot_set is None


@pytest.mark.parametrize(
    ("facts", "note"),
    [({"is_boot_set_edited": True}, RolloutNote.BOOT_SET_EDITED), ({"boot_set": None}, RolloutNote.BOOT_SET_MISSING)],
)
def test_an_edited_or_missing_boot_set_becomes_the_last_proven_one(facts: dict[str, object], note: RolloutNote) -> None:
    for boot in (OLD, NEW):
        subject = changed(cluster(worker("a", NEW), boot_set=boot), **facts)
        assert (plan_rollout(subject).boot_set, plan_rollout(subject).notes) == (OLD, (note,))
    assert plan_rollout(changed(subject, last_proven=None)).boot_set == NEW


def test_an_outdated_boot_set_becomes_the_last_proven_one() -> None:
    assert plan_rollout(cluster(worker("a"), boot_set=OTHER)).boot_set == OLD


# Paused clusters.


def test_a_paused_cluster_has_no_steps() -> None:
    subject = cluster(
        proven("a"), worker("b", NEW), worker("c"), is_paused=True, is_boot_set_edited=True, canary=ELECTED
    )
    result = plan_rollout(subject)
    assert result.steps == ()
    assert (result.state, result.notes) == (RolloutState.PAUSED, (RolloutNote.BOOT_SET_EDITED,))


# Replacement of machines.


def rolled(*nodes: RolloutNode, **facts: object) -> RolloutInput:
    return cluster(*nodes, boot_set=NEW, strategy=REPLACE_MACHINES, **facts)


def test_the_boot_set_changes_before_any_machine_is_replaced() -> None:
    subject = cluster(control_plane("c"), worker("w"), strategy=REPLACE_MACHINES)
    assert plan_rollout(subject).steps == (RolloutStep(StepAction.WRITE_BOOT_SET, NEW),)


def test_the_control_plane_rolls_first_then_the_pools_one_by_one() -> None:
    pools = [worker("a", group="p1"), worker("b", group="p2")]
    assert plan_rollout(rolled(control_plane("c"), *pools)).replace_group == ""
    fresh = control_plane("c", NEW, proven=NEW)
    assert plan_rollout(rolled(fresh, *pools)).replace_group == "p1"
    assert plan_rollout(rolled(fresh, proven("a", group="p1"), pools[1])).replace_group == "p2"
    assert plan_rollout(rolled(fresh, proven("a", group="p1"), proven("b", group="p2"), last_proven=NEW)).steps == ()


def test_a_worker_without_a_pool_delays_no_machine() -> None:
    """The group of the control plane also has an empty name."""
    alone, fresh = worker("a", group=""), control_plane("c", observed=NEW, proven=NEW)
    assert plan_rollout(rolled(fresh, alone, worker("b", group="p1"))).replace_group == "p1"
    left = plan_rollout(rolled(fresh, alone, proven("b", group="p1"), last_proven=NEW))
    assert (left.state, left.reason, left.machines, left.steps) == (
        RolloutState.WAITING,
        RolloutReason.ALONE,
        ("a",),
        (),
    )
    assert "belongs to no MachineDeployment" in left.message


def test_a_group_is_rolled_once() -> None:
    result = plan_rollout(rolled(control_plane("c", is_being_replaced=True), worker("w")))
    assert (result.reason, result.machines, result.replace_group) == (RolloutReason.ROLLING, ("c",), None)


def test_new_machines_with_an_older_set_are_rolled_again() -> None:
    assert (
        plan_rollout(
            rolled(control_plane("c", is_being_replaced=True), control_plane("d", None, booted_with=OLD))
        ).replace_group
        == ""
    )


@pytest.mark.parametrize(
    "facts",
    [{"has_joined": False}, {"has_joined": False, "is_stuck": True}, {"proven": None}],
    ids=["joining", "stuck", "proof"],
)
def test_the_next_group_waits_for_the_successors_in_the_previous_one(facts: dict[str, object]) -> None:
    result = plan_rollout(rolled(changed(control_plane("c", NEW, proven=NEW), **facts), worker("w")))
    assert (result.replace_group, result.machines) == (None, ("c",))


def test_a_refusing_new_machine_stops_the_roll_and_reverts_the_boot_set() -> None:
    subject = rolled(control_plane("c", NEW, refused=NEW), worker("w"))
    result = plan_rollout(subject)
    assert (result.state, result.replace_group, result.boot_set) == (RolloutState.STOPPED, None, OLD)


def test_a_node_that_took_the_set_in_place_is_not_replaced() -> None:
    assert plan_rollout(rolled(proven("a"), last_proven=NEW)).state is RolloutState.CURRENT


def test_a_machine_with_an_unknown_set_never_starts_a_roll() -> None:
    result = plan_rollout(rolled(worker("a", None, booted_with=None), proven("b"), last_proven=NEW))
    assert (result.state, result.reason, result.steps) == (RolloutState.WAITING, RolloutReason.UNKNOWN, ())


def test_without_a_key_machines_are_replaced_with_a_note() -> None:
    result = plan_rollout(cluster(worker("a"), boot_set=NEW, can_write=False, repairs_drift=True))
    assert (result.replace_group, result.write, result.notes) == ("pool", (), (RolloutNote.NO_KEY,))


def test_drifted_nodes_are_not_written_if_machines_are_replaced() -> None:
    result = plan_rollout(rolled(proven("a", has_drifted=True), last_proven=NEW, repairs_drift=True))
    assert (result.state, result.steps) == (RolloutState.DRIFTED, ())


# Messages.


def test_a_message_names_a_few_machines() -> None:
    result = plan_rollout(opened(*[worker(f"w{number}", is_reachable=False) for number in range(8)]))
    assert result.message.startswith("Cannot reach w0, w1, w2, w3, w4 and 3 more;")


@pytest.mark.parametrize("reason", RolloutReason)
def test_every_reason_has_a_message(reason: RolloutReason) -> None:
    assert changed(plan_rollout(RolloutInput(in_force=NEW)), reason=reason, machines=("w0",)).message


# Any observation.

digests = st.sampled_from([OLD, NEW, OTHER])
known = st.none() | digests
rare = st.sampled_from([False, False, False, True])
SETS = [None, OLD, NEW, OTHER]
FACTS: list[dict[str, object]] = [
    *({name: digest} for name in ("observed", "booted_with", "proven", "refused") for digest in SETS),
    {"observed": NEW, "proven": NEW},
    {"observed": NEW, "refused": NEW},
    {"is_reachable": False},
    {"is_reachable": False, "is_replaceable": True},
    {"has_joined": False},
    {"has_joined": False, "is_stuck": True},
    {"update_error": "no space left"},
    {"update_error": "no space left", "is_backing_off": True},
    *(
        {name: True}
        for name in ("has_drifted", "is_unverifiable", "is_writing", "is_busy", "is_being_replaced", "is_marked")
    ),
]
sorts = st.sampled_from([{"is_control_plane": True}, {"group": "p1"}, {"group": "p1"}, {"group": "p2"}])
facts = st.lists(st.sampled_from(FACTS), max_size=3)


def of(sort: dict[str, object], facts: list[dict[str, object]]) -> dict[str, object]:
    return {key: value for part in (sort, *facts) for key, value in part.items()}


nodes = st.lists(st.builds(of, sorts, facts), max_size=6).map(
    lambda drawn: tuple(changed(RolloutNode(name=f"m{number}"), **values) for number, values in enumerate(drawn))
)
observed = st.builds(
    RolloutInput,
    in_force=digests,
    boot_set=known,
    is_boot_set_edited=rare,
    last_proven=known,
    nodes=nodes,
    is_paused=rare,
    strategy=st.sampled_from(["InPlace", "InPlace", "Replace"]),
    can_write=rare.map(lambda flag: not flag),
    canary=st.none() | st.builds(Canary, st.sampled_from([f"m{number}" for number in range(9)]), digests),
    has_registry=rare.map(lambda flag: not flag),
    write_limit=st.integers(1, 3),
    fleet_allowance=st.integers(0, 3),
    replace_unreachable=st.booleans(),
    is_deleting_machines=rare,
    repairs_drift=st.booleans(),
)
anything = settings(max_examples=150)


@anything
@given(observed, st.randoms())
def test_the_order_of_machines_does_not_matter(subject: RolloutInput, chance: object) -> None:
    shuffled = list(subject.nodes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_rollout(changed(subject, nodes=tuple(shuffled))) == plan_rollout(subject)


@anything
@given(observed)
def test_busy_machines_and_paused_clusters_are_not_touched(subject: RolloutInput) -> None:
    result = plan_rollout(subject)
    touched = {*result.write, *result.delete, *result.remediate, result.canary and result.canary.machine}
    assert not touched & {node.name for node in subject.nodes if node.is_busy}
    if subject.is_paused:
        assert result.steps == ()


@anything
@given(observed)
def test_writes_keep_to_the_limits_and_the_control_plane_takes_turns(subject: RolloutInput) -> None:
    by_name = {node.name: node for node in subject.nodes}
    result = plan_rollout(subject)
    under_way = [node for node in subject.nodes if node.uses_write_slot]
    assert len(result.write) <= subject.fleet_allowance
    assert not result.write or len(result.write) + len(under_way) <= subject.write_limit
    written = [by_name[name] for name in result.write]
    assert all(node.is_writable and not node.is_writing and not node.is_backing_off for node in written)
    members = [node for node in written if node.is_control_plane]
    assert len(members) <= 1
    for node in members:
        # After a crash, the record identifies the node.
        assert Canary(node.name, subject.in_force) in (result.canary, subject.canary)
        assert not any(other.is_control_plane for other in under_way)


@anything
@given(observed)
def test_the_boot_set_is_the_set_in_force_or_the_last_proven_one(subject: RolloutInput) -> None:
    result = plan_rollout(subject)
    assert result.boot_set in {None, subject.in_force, subject.last_proven}
    # The next plan does not change it.
    assert (
        plan_rollout(
            changed(
                subject,
                boot_set=result.boot_set or subject.boot_set,
                is_boot_set_edited=subject.is_boot_set_edited and not result.boot_set,
            )
        ).boot_set
        is None
    )


@anything
@given(observed)
def test_no_step_starts_while_a_node_refuses_the_set(subject: RolloutInput) -> None:
    result = plan_rollout(subject)
    if subject.is_paused or not subject.refusing_nodes:
        assert result.state is not RolloutState.STOPPED
        return
    assert result.state is RolloutState.STOPPED
    assert result.machines
    assert {step.action for step in result.steps} <= {StepAction.WRITE_BOOT_SET}
    assert result.boot_set in {None, subject.last_proven} or subject.last_proven is None


@anything
@given(observed)
def test_a_rollout_is_current_exactly_when_every_node_has_the_set(subject: RolloutInput) -> None:
    result = plan_rollout(subject)
    done = all(
        node.has_joined and subject.has_in_force(node) and subject.is_settled(node) and not node.uses_write_slot
        for node in subject.nodes
    )
    if result.state is RolloutState.CURRENT:
        assert done
        assert not {step.action for step in result.steps} - {StepAction.RECORD_PROVEN}
    elif done and subject.is_promoted:
        assert result.state in {RolloutState.PAUSED, RolloutState.STOPPED}


@anything
@given(observed)
def test_machines_are_replaced_one_at_a_time_and_no_control_plane_loses_its_quorum(subject: RolloutInput) -> None:
    result = plan_rollout(subject)
    assert len([*result.delete, *result.remediate]) <= (
        1 if subject.replace_unreachable and not subject.is_deleting_machines else 0
    )
    for name in result.remediate:
        others = [node for node in subject.nodes if node.is_control_plane and node.name != name]
        assert len(others) >= 2
        assert all(node.is_writable and not node.is_marked for node in others)
    lost = {node.name for node in subject.nodes if node.has_joined and not node.is_reachable}
    assert {*result.delete, *result.remediate} <= lost
    assert {name for obstructed in result.obstructed for name in obstructed.machines} <= lost - {
        *result.delete,
        *result.remediate,
    }


@anything
@given(observed)
def test_a_waiting_rollout_names_machines(subject: RolloutInput) -> None:
    result = plan_rollout(subject)
    silent = {RolloutReason.UP_TO_DATE, RolloutReason.NO_NODES, RolloutReason.PAUSED, RolloutReason.BOOT_SET}
    assert bool(result.machines) == (result.reason not in silent)
    assert result.message
