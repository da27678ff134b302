"""Names that users give to parts of a stack: processes, registries, load balancers, machines."""

from collections.abc import Sequence

from trustplane.errors import UserError
from trustplane_local.podman import ObservedContainer
from trustplane_local.provider.instance import MACHINE_ROLE, NAME_LABEL, ROLE_LABEL
from trustplane_local.supervisor import START_ORDER


def find_container(name: str, containers: Sequence[ObservedContainer]) -> ObservedContainer:
    """Return the container with this name, or the only one whose Kubernetes object has it.

    Raises:
        UserError: None or several match; the message lists the names.
    """
    matches = [container for container in containers if container.name == name]
    matches = matches or [container for container in containers if (container.labels or {}).get(NAME_LABEL) == name]
    if len(matches) == 1:
        return matches[0]
    names = sorted(container.name for container in matches or containers)
    raise UserError(
        f"The stack has several containers named {name}" if matches else f"The stack has nothing named {name}",
        next_step=f"Choose one of {', '.join([*([] if matches else START_ORDER), *names])}",
    )


def is_machine(observed: ObservedContainer) -> bool:
    """Return whether a container is a machine, and therefore runs systemd."""
    return (observed.labels or {}).get(ROLE_LABEL) == MACHINE_ROLE
