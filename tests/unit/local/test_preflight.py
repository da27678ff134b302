from dataclasses import replace
from pathlib import Path

import pytest

from trustplane.errors import HostError
from trustplane_local import preflight
from trustplane_local.preflight import GIB, HostState, Requirements

GOOD = HostState(
    is_root=True,
    state=Path("/state"),
    missing_programs=(),
    free_disk_bytes={Path("/state"): 20 * GIB},
    free_memory_bytes=8 * GIB,
    podman_error="",
)
NEEDS = Requirements(disk_bytes=15 * GIB, memory_bytes=6 * GIB)


def raised(machine: HostState) -> HostError:
    with pytest.raises(HostError) as caught:
        preflight.raise_problems(preflight.find_problems(machine, NEEDS))
    return caught.value


def test_a_good_machine_has_no_problems() -> None:
    preflight.raise_problems(preflight.find_problems(GOOD, NEEDS))


def test_root_is_required() -> None:
    assert "as root" in raised(replace(GOOD, is_root=False)).next_step


def test_missing_programs_are_named_with_their_packages() -> None:
    error = raised(replace(GOOD, missing_programs=("podman", "/usr/lib/podman/netavark", "ip", "ss", "mmdebstrap")))
    assert error.what == "This machine lacks podman, netavark, ip, ss, mmdebstrap"
    assert error.next_step == "apt-get install iproute2 mmdebstrap netavark podman"


def test_the_error_of_podman_is_reported() -> None:
    error = raised(replace(GOOD, podman_error="overlay is not supported"))
    assert (error.what, error.why) == ("podman cannot run containers on this machine", "overlay is not supported")


def test_the_error_for_too_little_disk_names_folder_and_sizes() -> None:
    error = raised(replace(GOOD, free_disk_bytes={Path("/state"): 20 * GIB, Path("/cache"): 3 * GIB}))
    assert error.what == "Too little disk space in /cache"
    assert error.why == "3.0 GiB are free, 15.0 GiB are required"


def test_the_path_of_the_state_folder_may_be_too_long_for_podman() -> None:
    folder = Path("/var/lib") / ("x" * 40)
    error = raised(replace(GOOD, state=folder))
    assert error.what == "The path of the state folder is too long"
    assert "49 characters; podman accepts at most 39" in error.why
    assert problems_of_a_folder_of(39) == []


def problems_of_a_folder_of(length: int) -> list[HostError]:
    return preflight.find_problems(replace(GOOD, state=Path("/" + "x" * (length - 1))), NEEDS)


def test_memory_is_checked() -> None:
    assert raised(replace(GOOD, free_memory_bytes=GIB)).why == "1.0 GiB are available, 6.0 GiB are required"


def test_several_problems_are_reported_together() -> None:
    error = raised(replace(GOOD, missing_programs=("skopeo",), free_memory_bytes=GIB))
    assert "2 reasons" in error.what
    assert "skopeo" in error.why
    assert "1.0 GiB are available" in error.why
    assert "apt-get install skopeo" in error.next_step


def test_available_memory_is_in_bytes() -> None:
    assert preflight.available_memory("MemTotal: 10 kB\nMemAvailable:    2048 kB\n") == 2048 * 1024


def test_podman_is_not_tried_if_it_is_missing(tmp_path: Path) -> None:
    machine = preflight.inspect_host(["surely-not-a-program"], tmp_path / "not" / "yet", tmp_path, lambda: "tried")
    assert machine.missing_programs == ("surely-not-a-program",)
    assert machine.podman_error == ""
    assert machine.free_disk_bytes[tmp_path / "not" / "yet"] > 0
