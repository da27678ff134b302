"""Names that users give to parts of a stack: processes, registries, load balancers, machines."""

from collections.abc import Sequence

from trustplane.errors import UserError
from trustplane_local.podman import Observed
from trustplane_local.provider.instance import NAME_LABEL, ROLE, ROLE_LABEL
from trustplane_local.supervisor import ORDER


def container(name: str, containers: Sequence[Observed]) -> Observed:
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
        next_step=f"Choose one of {', '.join([*([] if matches else ORDER), *names])}",
    )


def is_machine(observed: Observed) -> bool:
    """Return whether a container is a machine, and therefore runs systemd."""
    return (observed.labels or {}).get(ROLE_LABEL) == ROLE
