"""How people name what a stack consists of: processes, registries, load balancers, machines."""

from collections.abc import Sequence

from trustplane.errors import UserError
from trustplane_local.podman import ObservedContainer
from trustplane_local.provider.instance import MACHINE_ROLE, NAME_LABEL, ROLE_LABEL
from trustplane_local.supervisor import START_ORDER


def find_container(asked: str, found: Sequence[ObservedContainer]) -> ObservedContainer:
    """Return the container of that name, or the only one whose Kubernetes object has it.

    Raises:
        UserError: there is none, or several; the message lists the names.
    """
    matches = [one for one in found if one.name == asked]
    matches = matches or [one for one in found if (one.labels or {}).get(NAME_LABEL) == asked]
    if len(matches) == 1:
        return matches[0]
    names = sorted(one.name for one in matches or found)
    raise UserError(
        f"Several containers of the stack are called {asked}" if matches else f"Nothing in the stack is called {asked}",
        next_step=f"Choose one of {', '.join([*([] if matches else START_ORDER), *names])}",
    )


def is_machine(observed: ObservedContainer) -> bool:
    """Tell whether a container is a machine, which runs systemd."""
    return (observed.labels or {}).get(ROLE_LABEL) == MACHINE_ROLE
