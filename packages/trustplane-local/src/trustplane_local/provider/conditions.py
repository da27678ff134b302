"""Conditions of the provider's objects: types, reasons, and how a new observation is merged into the known ones.

Source: Cluster API's contract v1beta2: `Ready` is mirrored to `InfrastructureReady` of the Machine or Cluster.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from trustplane.api.meta import Condition, Json, condition

READY: Final = "Ready"
PAUSED: Final = "Paused"
INSTANCE_READY: Final = "InstanceReady"
LOAD_BALANCER_READY: Final = "LoadBalancerReady"

WAITING_FOR_OWNER: Final = "WaitingForOwner"
WAITING_FOR_CLUSTER_INFRASTRUCTURE: Final = "WaitingForClusterInfrastructure"
WAITING_FOR_BOOTSTRAP_DATA: Final = "WaitingForBootstrapData"
STARTING: Final = "Starting"
START_FAILED: Final = "StartFailed"
RUNNING: Final = "Running"
STOPPED: Final = "Stopped"
MISSING: Final = "Missing"
DELETING: Final = "Deleting"
IS_PAUSED: Final = "Paused"
NOT_PAUSED: Final = "NotPaused"


def ready_conditions(type_: str, *, ready: bool, reason: str, message: str = "") -> list[Condition]:
    """Return a kind's own condition, Ready, which follows it, and the word that the object is not paused."""
    own = [Condition(type=name, status=str(ready), reason=reason, message=message) for name in (type_, READY)]
    return [*own, paused_condition(paused=False)]


def paused_condition(*, paused: bool) -> Condition:
    """Return the condition that says whether the object is left alone."""
    return Condition(type=PAUSED, status=str(paused), reason=IS_PAUSED if paused else NOT_PAUSED)


def merge_conditions(
    known: list[Condition], observed: Iterable[Condition], generation: int, now: datetime
) -> list[Condition]:
    """Return the conditions after an observation; those of other types stay.

    Args:
        known: as in the object.
        observed: what was seen; a condition's time is that of the last change of its status.
        generation: of the object, when it was seen.
        now: with whole seconds.
    """
    merged = {one.type: one for one in known}
    for one in observed:
        before = condition(known, one.type)
        same = before is not None and before.status == one.status
        since = before.last_transition_time if same and before is not None else now
        merged[one.type] = Condition(
            type=one.type,
            status=one.status,
            reason=one.reason,
            message=one.message,
            observed_generation=generation,
            last_transition_time=since or now,
        )
    return [merged[type_] for type_ in sorted(merged)]


def conditions_to_json(conditions: Iterable[Condition]) -> list[Json]:
    """Return conditions as the API server takes them: every required field present."""
    return [
        {
            "type": one.type,
            "status": one.status,
            "reason": one.reason,
            "message": one.message,
            "observedGeneration": one.observed_generation,
            "lastTransitionTime": one.last_transition_time.isoformat() if one.last_transition_time else None,
        }
        for one in conditions
    ]
