"""Conditions of the provider's objects: types, reasons, and the merge of new ones into the object's conditions.

Source: Cluster API's contract v1beta2. Cluster API copies `Ready` to `InfrastructureReady` of the Machine or Cluster.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from trustplane.api.condition_merge import merge
from trustplane.api.meta import Condition, Json

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
    """Return the conditions of an unpaused object: the kind's own type, Ready with the same values, and Paused."""
    ready_conditions = [
        Condition(type=name, status=str(ready), reason=reason, message=message) for name in (type_, READY)
    ]
    return [*ready_conditions, paused_condition(paused=False)]


def paused_condition(*, paused: bool) -> Condition:
    """Return the Paused condition."""
    return Condition(type=PAUSED, status=str(paused), reason=IS_PAUSED if paused else NOT_PAUSED)


def merge_conditions(
    known: list[Condition], observed: Iterable[Condition], generation: int, now: datetime
) -> list[Condition]:
    """Return an object's conditions with new ones merged in. A transition time only changes with the status.

    Args:
        known: The object's conditions; those of other types stay.
        observed: The new conditions.
        generation: The object's generation at the observation.
        now: The current time, in whole seconds.
    """
    current = [msgspec.structs.replace(new, observed_generation=generation) for new in observed]
    merged = {entry.type: entry for entry in (*known, *merge(known, current, now))}
    return [merged[type_] for type_ in sorted(merged)]


def conditions_to_json(conditions: Iterable[Condition]) -> list[Json]:
    """Return conditions as JSON for the API server, with every required field."""
    return [
        {
            "type": entry.type,
            "status": entry.status,
            "reason": entry.reason,
            "message": entry.message,
            "observedGeneration": entry.observed_generation,
            "lastTransitionTime": entry.last_transition_time.isoformat() if entry.last_transition_time else None,
        }
        for entry in conditions
    ]
