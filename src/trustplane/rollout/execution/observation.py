"""Build the input of the rollout plan from a cluster's state."""

from datetime import datetime

from trustplane.api.annotations import PAUSED, REPLACE_UNREACHABLE, TRUST_CANARY, TRUST_PROVEN
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.fleet.view import ClusterState
from trustplane.rollout.planning import facts as rollout_facts
from trustplane.rollout.planning.facts import OngoingWrites
from trustplane.rollout.planning.inputs import REPLACE_MACHINES, Canary, RolloutInput
from trustplane.trust import recorded
from trustplane.trust.propagation import PropagationRecord
from trustplane.trust.recorded import parse_time

NO_WORK = OngoingWrites()


def plan_input(state: ClusterState, *, now: datetime, work: OngoingWrites = NO_WORK) -> RolloutInput:
    """Return the plan's input.

    Args:
        state: The cluster.
        now: The current time.
        work: Writes of this process to its nodes.
    """
    annotations, hosts = state.cluster.metadata.annotations, state.hosts
    return RolloutInput(
        in_force=state.sets.digest,
        boot_set=state.boot_set.digest if state.boot_set and state.boot_set.is_intact else None,
        is_boot_set_edited=state.boot_set is not None and not state.boot_set.is_intact,
        last_proven=last_proven_digest(annotations),
        nodes=tuple(
            rollout_facts.build_node(
                node,
                state.machines[node.machine],
                hosts,
                writes=work,
                rollout_after=state.replacement_requested_at,
                checks=state.health_checks,
                now=now,
                is_uninspectable=_is_blind(state, node),
            )
            for node in state.nodes
        ),
        is_deleting_machines=state.has_machine_deletions,
        is_paused=state.cluster.spec.paused or PAUSED in annotations,
        strategy=state.strategy,
        can_write=state.has_ssh_key,
        canary=parse_canary(annotations.get(TRUST_CANARY, "")),
        has_registry=bool(hosts),
        replace_unreachable=_is_replacement_requested(state),
    )


def _is_blind(state: ClusterState, facts: NodeFacts) -> bool:
    """Return whether a node cannot be inspected: its cluster has no key, or replaces machines and SSH fails."""
    inspection = facts.valid_inspection
    return not state.has_ssh_key or (
        state.strategy == REPLACE_MACHINES and inspection is not None and bool(inspection.error)
    )


def _is_replacement_requested(state: ClusterState) -> bool:
    """Return whether the last handled update request includes replacing unreachable nodes."""
    requested_at = parse_time(state.tkc.metadata.annotations.get(REPLACE_UNREACHABLE, "")) if state.tkc else None
    frozen = PropagationRecord.from_annotations(state.cluster.metadata.annotations) if requested_at else None
    return frozen is not None and requested_at == frozen.handled_at


def last_proven_digest(annotations: dict[str, str]) -> str | None:
    """Return the digest of the last set proven by a node, or None if none is recorded."""
    digest = annotations.get(TRUST_PROVEN, "")
    return digest if recorded.is_digest(digest) else None


def parse_canary(text: str) -> Canary | None:
    """Parse the canary record; return None if it is absent or malformed."""
    return recorded.decode_record(text, Canary)
