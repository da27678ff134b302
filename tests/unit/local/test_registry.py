"""Containers of the private registries: when they are started again, and where they are."""

import msgspec

from trustplane_local import files, registry
from trustplane_local.podman import Observed
from trustplane_local.stack import LABEL, Stack


def observed(stack: Stack, *, state: str = "running") -> Observed:
    """Return the first registry as it was started with the present files."""
    wanted = registry.container(registry.registries(stack)[0])
    return Observed("1", [wanted.name], state, labels={**wanted.labels, LABEL: stack.id})


def test_a_registry_runs_on_with_the_files_that_it_has_read(stack: Stack) -> None:
    one = registry.registries(stack)[0]
    registry.prepare(one)
    present = observed(stack)
    assert registry.is_as_wanted(present, registry.container(one))
    assert not registry.is_as_wanted(observed(stack, state="exited"), registry.container(one))
    assert not registry.is_as_wanted(msgspec.structs.replace(present, labels=None), registry.container(one))
    assert not registry.is_as_wanted(None, registry.container(one))


def test_a_registry_starts_again_with_another_certificate(stack: Stack) -> None:
    one = registry.registries(stack)[0]
    registry.prepare(one)
    present = observed(stack)
    files.write(one.folder / "pki" / "tls.crt", b"another")
    assert not registry.is_as_wanted(present, registry.container(one))


def test_hardware_addresses_are_local_and_of_one_station_each(stack: Stack) -> None:
    found = [registry.hardware_address(one.address) for one in registry.registries(stack)]
    assert found == ["02:54:c6:12:40:02", "02:54:c6:12:40:03"]
