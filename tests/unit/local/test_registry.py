"""Containers of the private registries: restarts, and addresses."""

import msgspec

from trustplane_local import files, registry
from trustplane_local.podman import Observed
from trustplane_local.stack import LABEL, Stack


def observed(stack: Stack, *, state: str = "running") -> Observed:
    """Return the container of the first registry, started with the current files."""
    desired = registry.container(registry.registries(stack)[0])
    return Observed("1", [desired.name], state, labels={**desired.labels, LABEL: stack.id})


def test_a_registry_that_runs_with_the_current_files_is_not_restarted(stack: Stack) -> None:
    one = registry.registries(stack)[0]
    registry.prepare(one)
    present = observed(stack)
    assert registry.is_as_wanted(present, registry.container(one))
    assert not registry.is_as_wanted(observed(stack, state="exited"), registry.container(one))
    assert not registry.is_as_wanted(msgspec.structs.replace(present, labels=None), registry.container(one))
    assert not registry.is_as_wanted(None, registry.container(one))


def test_a_registry_is_restarted_with_a_new_certificate(stack: Stack) -> None:
    one = registry.registries(stack)[0]
    registry.prepare(one)
    present = observed(stack)
    files.write(one.folder / "pki" / "tls.crt", b"another")
    assert not registry.is_as_wanted(present, registry.container(one))


def test_hardware_addresses_are_locally_administered_and_unicast(stack: Stack) -> None:
    addresses = [registry.hardware_address(entry.address) for entry in registry.registries(stack)]
    assert addresses == ["02:54:c6:12:40:02", "02:54:c6:12:40:03"]
