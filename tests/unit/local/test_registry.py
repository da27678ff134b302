"""Containers of the private registries: when they are started again, and where they are."""

import msgspec

from trustplane_local import files, registry
from trustplane_local.podman import ObservedContainer
from trustplane_local.stack import STACK_LABEL, Stack


def observed(stack: Stack, *, state: str = "running") -> ObservedContainer:
    """Return the first registry as it was started with the present files."""
    wanted = registry.registry_container(registry.registries_of(stack)[0])
    return ObservedContainer("1", [wanted.name], state, labels={**wanted.labels, STACK_LABEL: stack.id})


def test_a_registry_runs_on_with_the_files_that_it_has_read(stack: Stack) -> None:
    one = registry.registries_of(stack)[0]
    registry.prepare_registry(one)
    present = observed(stack)
    assert registry.is_current(present, registry.registry_container(one))
    assert not registry.is_current(observed(stack, state="exited"), registry.registry_container(one))
    assert not registry.is_current(msgspec.structs.replace(present, labels=None), registry.registry_container(one))
    assert not registry.is_current(None, registry.registry_container(one))


def test_a_registry_starts_again_with_another_certificate(stack: Stack) -> None:
    one = registry.registries_of(stack)[0]
    registry.prepare_registry(one)
    present = observed(stack)
    files.write_atomically(one.folder / "pki" / "tls.crt", b"another")
    assert not registry.is_current(present, registry.registry_container(one))


def test_hardware_addresses_are_local_and_of_one_station_each(stack: Stack) -> None:
    found = [registry.hardware_address(one.address) for one in registry.registries_of(stack)]
    assert found == ["02:54:c6:12:40:02", "02:54:c6:12:40:03"]
