"""Each rule of a rollout by an example, then those that hold for whatever is observed."""

from dataclasses import replace as changed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustplane.trust.rollout.observed import REPLACE, Canary, Node, Observed
from trustplane.trust.rollout.plan import plan
from trustplane.trust.rollout.steps import Action, Kept, Note, Obstacle, Reason, State, Step

OLD, NEW, OTHER = "old", "new", "other"


def worker(name: str, has: str | None = OLD, **facts: object) -> Node:
    return changed(Node(name=name, group="pool", booted=OLD, has=has), **facts)


def control_plane(name: str, has: str | None = OLD, **facts: object) -> Node:
    return changed(Node(name=name, control_plane=True, booted=OLD, has=has), **facts)


def proven(name: str, **facts: object) -> Node:
    return worker(name, has=NEW, proven=NEW, **facts)


def cluster(*nodes: Node, **facts: object) -> Observed:
    """A cluster whose nodes have, and booted with, a proven set, and that is to have another."""
    return changed(Observed(wanted=NEW, boot=OLD, last_proven=OLD, nodes=nodes), **facts)


def opened(*nodes: Node, **facts: object) -> Observed:
    """The same, when the first node has proven the new set."""
    return cluster(*nodes, boot=NEW, last_proven=NEW, **facts)


ELECTED = Canary("a", NEW)


# The first node.


def test_the_canary_is_recorded_before_it_is_written_and_nobody_else_is() -> None:
    found = plan(cluster(worker("a"), worker("b")))
    assert found.steps == (Step(Action.ELECT, "a"), Step(Action.WRITE, "a"))
    assert (found.state, found.reason, found.machines) == (State.UPDATING, Reason.CANARY, ("a",))


def test_a_crash_between_the_record_and_the_write_changes_nothing_about_who_is_first() -> None:
    assert plan(cluster(worker("0"), worker("a"), canary=ELECTED)).steps == (Step(Action.WRITE, "a"),)


def test_the_others_wait_for_the_proof_of_the_canary() -> None:
    found = plan(cluster(worker("a", NEW), worker("b"), canary=ELECTED))
    assert found.steps == ()
    assert (found.state, found.reason, found.machines) == (State.UPDATING, Reason.PROVING, ("a",))


def test_the_proof_is_recorded_then_new_machines_get_the_set_then_the_others_are_written() -> None:
    found = plan(cluster(proven("a"), worker("b"), worker("c"), canary=ELECTED))
    assert found.steps == (
        Step(Action.RECORD_PROVEN, NEW),
        Step(Action.BOOT, NEW),
        Step(Action.WRITE, "b"),
        Step(Action.WRITE, "c"),
    )


def test_a_canary_that_refuses_stops_everything() -> None:
    found = plan(cluster(worker("a", NEW, refused=NEW), worker("b"), canary=ELECTED))
    assert (found.state, found.reason, found.machines) == (State.STOPPED, Reason.REFUSED, ("a",))
    assert "a refuses a registry" in found.message
    assert found.steps == ()


def test_a_corrected_set_starts_afresh() -> None:
    found = plan(cluster(worker("a", OTHER, refused=OTHER), worker("b"), canary=Canary("a", OTHER)))
    assert found.write == ("a",)
    assert found.elect == Canary("a", NEW)


@pytest.mark.parametrize(
    "lost", [{"reachable": False}, {"busy": True}, {"joined": False}, {"drifted": True, "has": NEW}]
)
def test_a_canary_that_can_say_nothing_is_replaced_by_another(lost: dict[str, object]) -> None:
    found = plan(cluster(changed(worker("a"), **lost), worker("b"), canary=ELECTED))
    assert (found.elect, found.write) == (Canary("b", NEW), ("b",))


def test_a_canary_that_is_gone_is_replaced_by_another() -> None:
    assert plan(cluster(worker("b"), canary=ELECTED)).elect == Canary("b", NEW)


def test_a_canary_that_cannot_be_written_is_not_passed_over_since_the_set_may_be_the_cause() -> None:
    found = plan(cluster(worker("a", failing="containerd does not start"), worker("b"), canary=ELECTED))
    assert found.write == ("a",)
    assert (found.state, found.reason, found.machines) == (State.WAITING, Reason.FAILING, ("a",))


def test_a_worker_is_first_where_there_is_one() -> None:
    assert plan(cluster(control_plane("a"), worker("b"))).write == ("b",)
    assert plan(cluster(control_plane("a"), control_plane("b"))).write == ("a",)


def test_one_that_can_prove_is_first() -> None:
    assert plan(cluster(worker("a", unverifiable=True), worker("b"))).write == ("b",)


def test_a_machine_that_booted_with_the_set_is_asked_before_another_one_is_written() -> None:
    found = plan(cluster(worker("a"), worker("b", None, booted=NEW)))
    assert (found.elect, found.write, found.machines) == (Canary("b", NEW), (), ("b",))


def test_a_canary_on_which_nothing_can_be_proven_keeps_nobody_waiting() -> None:
    assert plan(cluster(worker("a", NEW, unverifiable=True), worker("b"), canary=ELECTED)).write == ("b",)


def test_a_set_that_was_proven_before_needs_no_canary() -> None:
    assert plan(opened(worker("a", OTHER), worker("b", OTHER))).write == ("a", "b")


# The others.


def test_so_many_are_written_at_a_time() -> None:
    nodes = [worker(f"{number:02}", writing=number < 4) for number in range(20)]
    assert plan(opened(*nodes)).write == ("04", "05", "06", "07", "08", "09")


def test_the_fleet_may_grant_less() -> None:
    nodes = [worker("a"), worker("b"), worker("c")]
    assert plan(opened(*nodes, allowance=1)).write == ("a",)
    found = plan(opened(*nodes, allowance=0))
    assert (found.state, found.reason, found.steps) == (State.WAITING, Reason.LIMITED, ())


def test_the_canary_waits_for_the_fleet_too() -> None:
    found = plan(cluster(worker("a"), allowance=0))
    assert (found.state, found.reason, found.write) == (State.WAITING, Reason.LIMITED, ())


def test_nobody_is_written_while_a_write_on_it_is_under_way() -> None:
    assert plan(cluster(worker("a", writing=True), canary=ELECTED)).steps == ()


def test_one_of_the_control_plane_goes_with_the_workers_and_is_recorded() -> None:
    found = plan(opened(control_plane("c1"), control_plane("c2"), worker("w")))
    assert (found.elect, found.write) == (Canary("c1", NEW), ("c1", "w"))


@pytest.mark.parametrize("facts", [{"has": NEW}, {"writing": True}, {"failing": "no space left", "resting": True}])
def test_the_next_of_the_control_plane_waits_for_the_one_before(facts: dict[str, object]) -> None:
    one = changed(control_plane("c1"), **facts)
    assert plan(opened(one, control_plane("c2"), canary=Canary("c1", NEW))).write == ()


@pytest.mark.parametrize(
    "facts", [{"reachable": False}, {"busy": True}, {"proven": NEW}, {"unverifiable": True}, {"drifted": True}]
)
def test_the_next_of_the_control_plane_waits_for_nobody_who_will_say_nothing(facts: dict[str, object]) -> None:
    one = changed(control_plane("c1", NEW), **facts)
    assert plan(opened(one, control_plane("c2"), canary=Canary("c1", NEW))).write == ("c2",)


def test_a_canary_of_the_control_plane_waits_for_a_write_of_the_set_before_on_another() -> None:
    found = plan(cluster(control_plane("c1"), control_plane("c2", writing=True)))
    assert (found.elect, found.write) == (Canary("c1", NEW), ())


def test_the_one_of_the_control_plane_that_was_begun_before_a_crash_is_finished_first() -> None:
    assert plan(opened(control_plane("c1"), control_plane("c2"), canary=Canary("c2", NEW))).write == ("c2",)


def test_a_later_node_that_refuses_stops_the_rest() -> None:
    found = plan(opened(proven("a"), worker("b", NEW, refused=NEW), worker("c")))
    assert (found.state, found.machines, found.write, found.boot) == (State.STOPPED, ("b",), (), None)


def test_nodes_that_fail_take_nobodys_place() -> None:
    assert plan(opened(worker("a", failing="no space left"), worker("b"), allowance=1)).write == ("b",)
    assert plan(opened(worker("a", failing="no space left", resting=True), proven("b"))).reason is Reason.FAILING


def test_nodes_that_booted_with_the_set_need_a_proof_only() -> None:
    found = plan(opened(proven("a"), worker("b", None, booted=NEW)))
    assert (found.reason, found.machines, found.steps) == (Reason.PROVING, ("b",), ())


def test_when_every_node_has_proven_the_set_nothing_is_left() -> None:
    found = plan(opened(proven("a"), proven("b")))
    assert (found.state, found.reason, found.steps) == (State.CURRENT, Reason.UP_TO_DATE, ())


def test_it_is_not_current_before_machines_have_joined() -> None:
    found = plan(opened(proven("a"), worker("b", None, booted=NEW, joined=False)))
    assert (found.state, found.reason, found.steps) == (State.UPDATING, Reason.JOINING, ())
    found = plan(opened(proven("a"), worker("b", None, booted=NEW, joined=False, stuck=True)))
    assert (found.state, found.reason, found.machines) == (State.WAITING, Reason.STUCK, ("b",))


# Nodes that are out of reach, busy, or changed by somebody.


def test_nodes_out_of_reach_delay_nobody_and_are_named() -> None:
    away = worker("a", reachable=False)
    assert plan(cluster(away, worker("b"))).write == ("b",)
    found = plan(opened(away, proven("b")))
    assert (found.state, found.reason, found.machines, found.steps) == (State.WAITING, Reason.UNREACHABLE, ("a",), ())
    assert plan(opened(changed(away, reachable=True), proven("b"))).write == ("a",)


def test_a_write_that_hangs_takes_no_place() -> None:
    nodes = (worker("a", reachable=False, writing=True), worker("b"))
    assert plan(opened(*nodes, limit=1)).write == ("b",)


def test_busy_machines_are_left_alone() -> None:
    found = plan(opened(worker("a", busy=True), worker("b", NEW, busy=True)))
    assert (found.state, found.reason, found.machines, found.steps) == (State.WAITING, Reason.BUSY, ("a", "b"), ())


def test_drift_is_repaired_on_request_only() -> None:
    nodes = (proven("a"), proven("b", drifted=True))
    found = plan(opened(*nodes))
    assert (found.state, found.reason, found.machines, found.steps) == (State.DRIFTED, Reason.DRIFTED, ("b",), ())
    assert plan(opened(*nodes, repair=True)).write == ("b",)


def test_a_node_whose_files_somebody_changed_says_nothing_against_the_set() -> None:
    assert plan(opened(proven("a"), worker("b", NEW, drifted=True, refused=NEW), repair=True)).write == ("b",)


def test_a_node_of_which_nothing_is_known_is_written() -> None:
    assert plan(opened(proven("a"), worker("b", None, booted=None))).write == ("b",)


def test_lost_workers_are_replaced_on_request_one_at_a_time() -> None:
    lost = [worker(name, reachable=False, replaceable=True) for name in "abc"]
    assert plan(opened(*lost, proven("d"))).delete == ()
    assert plan(opened(*lost, proven("d"), replace_unreachable=True)).delete == ("a",)
    going = (changed(lost[0], busy=True), *lost[1:], proven("d"))
    assert plan(opened(*going, replace_unreachable=True)).delete == ()
    joining = (worker("e", None, booted=NEW, joined=False), *lost[1:], proven("d"))
    assert plan(opened(*joining, replace_unreachable=True)).delete == ()


@pytest.mark.parametrize("facts", [{"replaceable": False}, {"has": NEW}, {"reachable": True}, {"busy": True}])
def test_only_lost_workers_that_are_made_anew_are_deleted(facts: dict[str, object]) -> None:
    lost = changed(worker("a", reachable=False, replaceable=True), **facts)
    assert plan(opened(lost, proven("d"), replace_unreachable=True)).delete == ()


def test_nobody_is_deleted_before_new_machines_get_the_set() -> None:
    lost = worker("a", reachable=False, replaceable=True)
    assert plan(cluster(lost, proven("d"), replace_unreachable=True)).delete == ()
    asked = cluster(lost, worker("d", NEW), replace_unreachable=True, boot=NEW)
    assert plan(asked).delete == ()


def test_a_lost_one_of_the_control_plane_goes_by_remediation_and_while_two_are_well() -> None:
    lost = control_plane("a", reachable=False, replaceable=True)
    well = [control_plane(name, NEW, proven=NEW) for name in "bc"]
    found = plan(opened(lost, *well, replace_unreachable=True))
    assert (found.delete, found.remediate) == ((), ("a",))
    assert plan(opened(lost, replace_unreachable=True)).steps == ()
    assert plan(opened(lost, well[0], replace_unreachable=True)).steps == ()
    assert plan(opened(lost, well[0], changed(well[1], busy=True), replace_unreachable=True)).remediate == ()
    assert plan(opened(lost, well[0], changed(well[1], marked=True), replace_unreachable=True)).remediate == ()
    assert plan(opened(lost, *well, replace_unreachable=True, deleting=True)).remediate == ()


def test_one_that_is_marked_already_is_not_marked_again_and_keeps_no_worker_waiting() -> None:
    marked = control_plane("a", reachable=False, replaceable=True, marked=True)
    well = [control_plane(name, NEW, proven=NEW) for name in "bc"]
    assert plan(opened(marked, *well, replace_unreachable=True)).steps == ()
    lost = worker("d", reachable=False, replaceable=True)
    assert plan(opened(marked, *well, lost, replace_unreachable=True)).delete == ("d",)
    assert plan(opened(marked, *well, lost, replace_unreachable=True, deleting=True)).delete == ()


LOST = control_plane("a", reachable=False, replaceable=True)
WELL = [control_plane(name, NEW, proven=NEW) for name in "bc"]


@pytest.mark.parametrize(
    ("nodes", "facts", "obstacle"),
    [
        ([LOST, *WELL], {}, None),
        ([LOST, *WELL], {"deleting": True}, Obstacle.OTHERS),
        ([LOST, WELL[0]], {"deleting": True}, Obstacle.OTHERS),
        ([LOST, WELL[0], changed(WELL[1], reachable=False, has=NEW)], {}, Obstacle.OTHERS),
        ([changed(LOST, marked=True), *WELL], {}, Obstacle.MARKED),
        ([changed(LOST, replaceable=False), *WELL], {}, Obstacle.UNCHECKED),
        ([changed(LOST, replaceable=False)], {}, Obstacle.TOO_FEW),
        ([LOST, WELL[0]], {}, Obstacle.TOO_FEW),
        ([proven("d"), worker("a", reachable=False, replaceable=True)], {}, None),
        ([proven("d"), worker("a", reachable=False)], {}, Obstacle.ALONE),
        ([proven("d"), changed(LOST, has=NEW)], {}, None),
    ],
)
def test_who_is_not_replaced_although_somebody_has_asked_for_that_is_told_why(
    nodes: list[Node], facts: dict[str, object], obstacle: Obstacle | None
) -> None:
    seen = opened(*nodes, replace_unreachable=True, **facts)
    found = plan(seen)
    assert found.kept == ((Kept(obstacle, ("a",)),) if obstacle else ())
    assert found.remark.startswith("a ") is (obstacle is not None)
    if obstacle is not None:
        assert (found.delete, found.remediate) == ((), ())
    for silent in (
        changed(seen, replace_unreachable=False),
        changed(seen, paused=True),
        changed(seen, strategy=REPLACE),
    ):
        assert plan(silent).kept == ()


# The boot set.


def test_at_creation_machines_boot_with_the_set_at_once() -> None:
    found = plan(Observed(wanted=NEW))
    assert found.steps == (Step(Action.BOOT, NEW),)
    assert plan(Observed(wanted=NEW, boot=NEW)).reason is Reason.NO_NODES


@pytest.mark.parametrize(
    "seen",
    [
        cluster(),
        cluster(worker("a"), provable=False),
        cluster(worker("a", reachable=False)),
        cluster(worker("a", unverifiable=True)),
        cluster(worker("a", joined=False)),
        cluster(worker("a"), worker("b", joined=False, stuck=True)),
    ],
    ids=["no nodes", "no Registry", "no reachable node", "unverifiable", "none joined", "the old set keeps them out"],
)
def test_machines_boot_with_the_set_at_once_where_nothing_can_prove(seen: Observed) -> None:
    assert plan(seen).boot == NEW


def test_a_machine_that_does_not_join_for_another_reason_promotes_nothing() -> None:
    stuck = worker("b", None, booted=OTHER, joined=False, stuck=True)
    assert plan(cluster(worker("a"), stuck)).boot is None


def test_what_was_promoted_at_once_is_taken_back_when_it_is_refused_and_stays_back() -> None:
    seen = cluster(worker("a", NEW, refused=NEW), worker("b", joined=False, stuck=True), boot=NEW)
    assert plan(seen).boot == OLD
    assert plan(changed(seen, boot=OLD)).boot is None


def test_what_was_promoted_at_once_stays_while_nobody_refuses_it() -> None:
    assert plan(cluster(worker("a"), boot=NEW)).boot is None


@pytest.mark.parametrize(
    ("facts", "note"),
    [({"edited": True}, Note.BOOT_SET_EDITED), ({"boot": None}, Note.BOOT_SET_MISSING)],
)
def test_an_edited_or_missing_boot_set_becomes_the_last_proven_one(facts: dict[str, object], note: Note) -> None:
    for boot in (OLD, NEW):
        seen = changed(cluster(worker("a", NEW), boot=boot), **facts)
        assert (plan(seen).boot, plan(seen).notes) == (OLD, (note,))
    assert plan(changed(seen, last_proven=None)).boot == NEW


def test_a_boot_set_that_nobody_wants_any_more_becomes_the_last_proven_one() -> None:
    assert plan(cluster(worker("a"), boot=OTHER)).boot == OLD


# Paused clusters.


def test_in_a_paused_cluster_nothing_begins() -> None:
    seen = cluster(proven("a"), worker("b", NEW), worker("c"), paused=True, edited=True, canary=ELECTED)
    found = plan(seen)
    assert found.steps == ()
    assert (found.state, found.notes) == (State.PAUSED, (Note.BOOT_SET_EDITED,))


# Replacing machines.


def rolled(*nodes: Node, **facts: object) -> Observed:
    return cluster(*nodes, boot=NEW, strategy=REPLACE, **facts)


def test_the_boot_set_changes_before_any_machine_is_replaced() -> None:
    seen = cluster(control_plane("c"), worker("w"), strategy=REPLACE)
    assert plan(seen).steps == (Step(Action.BOOT, NEW),)


def test_the_control_plane_rolls_first_then_the_pools_one_by_one() -> None:
    pools = [worker("a", group="p1"), worker("b", group="p2")]
    assert plan(rolled(control_plane("c"), *pools)).roll == ""
    fresh = control_plane("c", NEW, proven=NEW)
    assert plan(rolled(fresh, *pools)).roll == "p1"
    assert plan(rolled(fresh, proven("a", group="p1"), pools[1])).roll == "p2"
    assert plan(rolled(fresh, proven("a", group="p1"), proven("b", group="p2"), last_proven=NEW)).steps == ()


def test_a_worker_of_no_pool_has_no_other_machine_replaced_and_holds_up_nobody() -> None:
    """The control plane's group has no name either."""
    alone, fresh = worker("a", group=""), control_plane("c", has=NEW, proven=NEW)
    assert plan(rolled(fresh, alone, worker("b", group="p1"))).roll == "p1"
    left = plan(rolled(fresh, alone, proven("b", group="p1"), last_proven=NEW))
    assert (left.state, left.reason, left.machines, left.steps) == (State.WAITING, Reason.ALONE, ("a",), ())
    assert "belongs to no MachineDeployment" in left.message


def test_a_group_is_rolled_once_whatever_its_machines_had() -> None:
    found = plan(rolled(control_plane("c", leaving=True), worker("w")))
    assert (found.reason, found.machines, found.roll) == (Reason.ROLLING, ("c",), None)


def test_machines_that_booted_with_an_older_set_meanwhile_are_rolled_again() -> None:
    assert plan(rolled(control_plane("c", leaving=True), control_plane("d", None, booted=OLD))).roll == ""


@pytest.mark.parametrize(
    "facts", [{"joined": False}, {"joined": False, "stuck": True}, {"proven": None}], ids=["joining", "stuck", "proof"]
)
def test_the_next_group_waits_for_what_replaces_the_one_before(facts: dict[str, object]) -> None:
    found = plan(rolled(changed(control_plane("c", NEW, proven=NEW), **facts), worker("w")))
    assert (found.roll, found.machines) == (None, ("c",))


def test_a_new_machine_that_refuses_stops_the_roll_and_brings_the_last_proven_set_back() -> None:
    seen = rolled(control_plane("c", NEW, refused=NEW), worker("w"))
    found = plan(seen)
    assert (found.state, found.roll, found.boot) == (State.STOPPED, None, OLD)


def test_a_node_that_took_the_set_in_place_is_not_replaced() -> None:
    assert plan(rolled(proven("a"), last_proven=NEW)).state is State.CURRENT


def test_a_machine_whose_set_is_not_known_is_never_the_cause_of_a_roll() -> None:
    found = plan(rolled(worker("a", None, booted=None), proven("b"), last_proven=NEW))
    assert (found.state, found.reason, found.steps) == (State.WAITING, Reason.UNKNOWN, ())


def test_without_a_key_machines_are_replaced_and_it_says_so() -> None:
    found = plan(cluster(worker("a"), boot=NEW, can_write=False, repair=True))
    assert (found.roll, found.write, found.notes) == ("pool", (), (Note.NO_KEY,))


def test_nobody_writes_on_a_drifted_node_where_machines_are_replaced() -> None:
    found = plan(rolled(proven("a", drifted=True), last_proven=NEW, repair=True))
    assert (found.state, found.steps) == (State.DRIFTED, ())


# Words.


def test_a_message_names_a_few_machines() -> None:
    found = plan(opened(*[worker(f"w{number}", reachable=False) for number in range(8)]))
    assert found.message.startswith("w0, w1, w2, w3, w4 and 3 more cannot be reached")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    assert changed(plan(Observed(wanted=NEW)), reason=reason, machines=("w0",)).message


# Whatever is observed.

digests = st.sampled_from([OLD, NEW, OTHER])
known = st.none() | digests
rare = st.sampled_from([False, False, False, True])
SETS = [None, OLD, NEW, OTHER]
FACTS: list[dict[str, object]] = [
    *({name: digest} for name in ("has", "booted", "proven", "refused") for digest in SETS),
    {"has": NEW, "proven": NEW},
    {"has": NEW, "refused": NEW},
    {"reachable": False},
    {"reachable": False, "replaceable": True},
    {"joined": False},
    {"joined": False, "stuck": True},
    {"failing": "no space left"},
    {"failing": "no space left", "resting": True},
    *({name: True} for name in ("drifted", "unverifiable", "writing", "busy", "leaving", "marked")),
]
sorts = st.sampled_from([{"control_plane": True}, {"group": "p1"}, {"group": "p1"}, {"group": "p2"}])
facts = st.lists(st.sampled_from(FACTS), max_size=3)


def of(sort: dict[str, object], facts: list[dict[str, object]]) -> dict[str, object]:
    return {key: value for part in (sort, *facts) for key, value in part.items()}


nodes = st.lists(st.builds(of, sorts, facts), max_size=6).map(
    lambda found: tuple(changed(Node(name=f"m{number}"), **one) for number, one in enumerate(found))
)
observed = st.builds(
    Observed,
    wanted=digests,
    boot=known,
    edited=rare,
    last_proven=known,
    nodes=nodes,
    paused=rare,
    strategy=st.sampled_from(["InPlace", "InPlace", "Replace"]),
    can_write=rare.map(lambda one: not one),
    canary=st.none() | st.builds(Canary, st.sampled_from([f"m{number}" for number in range(9)]), digests),
    provable=rare.map(lambda one: not one),
    limit=st.integers(1, 3),
    allowance=st.integers(0, 3),
    replace_unreachable=st.booleans(),
    deleting=rare,
    repair=st.booleans(),
)
anything = settings(max_examples=150)


@anything
@given(observed, st.randoms())
def test_the_order_in_which_machines_are_listed_means_nothing(seen: Observed, chance: object) -> None:
    shuffled = list(seen.nodes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(changed(seen, nodes=tuple(shuffled))) == plan(seen)


@anything
@given(observed)
def test_machines_that_are_busy_or_of_a_paused_cluster_are_left_alone(seen: Observed) -> None:
    found = plan(seen)
    touched = {*found.write, *found.delete, *found.remediate, found.elect and found.elect.machine}
    assert not touched & {one.name for one in seen.nodes if one.busy}
    if seen.paused:
        assert found.steps == ()


@anything
@given(observed)
def test_writes_keep_to_the_limits_and_the_control_plane_takes_turns(seen: Observed) -> None:
    by_name = {one.name: one for one in seen.nodes}
    found = plan(seen)
    under_way = [one for one in seen.nodes if one.is_written]
    assert len(found.write) <= seen.allowance
    assert not found.write or len(found.write) + len(under_way) <= seen.limit
    written = [by_name[name] for name in found.write]
    assert all(one.takes_part and not one.writing and not one.resting for one in written)
    control_plane = [one for one in written if one.control_plane]
    assert len(control_plane) <= 1
    for one in control_plane:
        # Whoever finds the plan carried out in part knows which one it was.
        assert Canary(one.name, seen.wanted) in (found.elect, seen.canary)
        assert not any(other.control_plane for other in under_way)


@anything
@given(observed)
def test_new_machines_get_the_wanted_set_or_the_last_proven_one(seen: Observed) -> None:
    found = plan(seen)
    assert found.boot in {None, seen.wanted, seen.last_proven}
    # It stays when it is written.
    assert plan(changed(seen, boot=found.boot or seen.boot, edited=seen.edited and not found.boot)).boot is None


@anything
@given(observed)
def test_while_somebody_refuses_the_set_nothing_begins(seen: Observed) -> None:
    found = plan(seen)
    if seen.paused or not seen.refusers:
        assert found.state is not State.STOPPED
        return
    assert found.state is State.STOPPED
    assert found.machines
    assert {one.action for one in found.steps} <= {Action.BOOT}
    assert found.boot in {None, seen.last_proven} or seen.last_proven is None


@anything
@given(observed)
def test_it_is_current_when_every_node_has_the_set_and_only_then(seen: Observed) -> None:
    found = plan(seen)
    done = all(
        one.joined and seen.has_wanted(one) and seen.is_settled(one) and not one.is_written for one in seen.nodes
    )
    if found.state is State.CURRENT:
        assert done
        assert not {one.action for one in found.steps} - {Action.RECORD_PROVEN}
    elif done and seen.is_boot_set:
        assert found.state in {State.PAUSED, State.STOPPED}


@anything
@given(observed)
def test_machines_are_replaced_one_at_a_time_and_no_control_plane_loses_its_quorum(seen: Observed) -> None:
    found = plan(seen)
    assert len([*found.delete, *found.remediate]) <= (1 if seen.replace_unreachable and not seen.deleting else 0)
    for name in found.remediate:
        others = [one for one in seen.nodes if one.control_plane and one.name != name]
        assert len(others) >= 2
        assert all(one.takes_part and not one.marked for one in others)
    lost = {one.name for one in seen.nodes if one.joined and not one.reachable}
    assert {*found.delete, *found.remediate} <= lost
    assert {name for one in found.kept for name in one.machines} <= lost - {*found.delete, *found.remediate}


@anything
@given(observed)
def test_whoever_waits_is_told_for_whom(seen: Observed) -> None:
    found = plan(seen)
    silent = {Reason.UP_TO_DATE, Reason.NO_NODES, Reason.PAUSED, Reason.BOOT_SET}
    assert bool(found.machines) == (found.reason not in silent)
    assert found.message
