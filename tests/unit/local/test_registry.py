"""Containers of the private registries: restarts, and addresses."""

import msgspec

from trustplane_local import files, registry
from trustplane_local.podman import ObservedContainer
from trustplane_local.stack import STACK_LABEL, Stack


def observed(stack: Stack, *, state: str = "running") -> ObservedContainer:
    """Return the container of the first registry, started with the current files."""
    desired = registry.registry_container(registry.registries_of(stack)[0])
    return ObservedContainer("1", [desired.name], state, labels={**desired.labels, STACK_LABEL: stack.id})


def test_a_registry_that_runs_with_the_current_files_is_not_restarted(stack: Stack) -> None:
    one = registry.registries_of(stack)[0]
    registry.prepare_registry(one)
    present = observed(stack)
    assert registry.is_current(present, registry.registry_container(one))
    assert not registry.is_current(observed(stack, state="exited"), registry.registry_container(one))
    assert not registry.is_current(msgspec.structs.replace(present, labels=None), registry.registry_container(one))
    assert not registry.is_current(None, registry.registry_container(one))


def test_a_registry_is_restarted_with_a_new_certificate(stack: Stack) -> None:
    one = registry.registries_of(stack)[0]
    registry.prepare_registry(one)
    present = observed(stack)
    files.write_atomically(one.folder / "pki" / "tls.crt", b"another")
    assert not registry.is_current(present, registry.registry_container(one))


def test_hardware_addresses_are_locally_administered_and_unicast(stack: Stack) -> None:
    addresses = [registry.hardware_address(entry.address) for entry in registry.registries_of(stack)]
    assert addresses == ["02:54:c6:12:40:02", "02:54:c6:12:40:03"]
