import ipaddress
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.errors import HostError
from trustplane_local import neighbours
from trustplane_local.neighbours import POOL, choose_subnet
from trustplane_local.stack import PORTS, Stack


def networks() -> st.SearchStrategy[ipaddress.IPv4Network]:
    inside = st.integers(int(POOL[0]), int(POOL[-1]))
    return st.builds(lambda address, length: ipaddress.IPv4Network((address, length), strict=False), inside, lengths())


def lengths() -> st.SearchStrategy[int]:
    return st.integers(17, 32)


@given(st.lists(networks(), max_size=6))
def test_a_chosen_subnet_overlaps_nothing_in_use(used: list[ipaddress.IPv4Network]) -> None:
    candidates = list(POOL.subnets(new_prefix=18))
    free = [one for one in candidates if not any(one.overlaps(other) for other in used)]
    if free:
        assert choose_subnet(used) == str(free[0])
    else:
        with pytest.raises(HostError, match="No /18"):
            choose_subnet(used)


def test_a_subnet_that_is_asked_for_is_taken_or_refused_with_what_uses_it() -> None:
    assert choose_subnet([], "10.8.64.0/18") == "10.8.64.0/18"
    with pytest.raises(HostError, match=r"10\.8\.70\.0/24"):
        choose_subnet([ipaddress.IPv4Network("10.8.70.0/24")], "10.8.64.0/18")


@pytest.mark.parametrize("asked", ["10.0.0.0/16", "10.0.0.1/18", "nonsense", "fd00::/18"])
def test_only_an_ipv4_18_is_a_subnet(asked: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        neighbours.parse_subnet(asked)


def test_routes_are_read_from_ip() -> None:
    routes = [{"dst": "default"}, {"dst": "198.18.0.0/18"}, {"type": "local", "dst": "10.1.2.3"}, {"dst": "0.0.0.0/0"}]
    found = neighbours.parse_routes(json.dumps(routes).encode())
    assert [str(one) for one in found] == ["198.18.0.0/18", "10.1.2.3/32"]
    assert neighbours.parse_routes(b"") == []


def make_stack(folder: Path, cache: Path, id_: str) -> Stack:
    return Stack(
        id=id_,
        folder=folder,
        cache=cache,
        bin=cache,
        rootfs=cache,
        images=cache,
        kubernetes_version="v1.36.3",
        subnet="198.18.64.0/18",
        ports={name: 20000 + index for index, name in enumerate(PORTS)},
    )


def test_stacks_know_of_each_other_until_they_are_gone(tmp_path: Path) -> None:
    other = make_stack(tmp_path / "other", tmp_path, "00000001")
    other.folder.mkdir()
    (other.folder / "stack.json").write_bytes(msgspec.json.encode(other, enc_hook=str))
    with neighbours.lock_stacks(tmp_path) as known:
        assert known == []
        neighbours.register_stack(other)
    with neighbours.lock_stacks(tmp_path) as known:
        assert [one.id for one in known] == ["00000001"]
        assert neighbours.reserved_ports(known) == set(other.ports.values())
    (other.folder / "stack.json").unlink()
    with neighbours.lock_stacks(tmp_path) as known:
        assert known == []
    neighbours.unregister_stack(other)
    neighbours.unregister_stack(other)
    assert [entry.name for entry in (tmp_path / "stacks").iterdir()] == ["lock"]


def test_a_note_whose_folder_has_another_stack_now_is_void(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "stack.json").write_bytes(msgspec.json.encode(make_stack(folder, tmp_path, "00000002"), enc_hook=str))
    with neighbours.lock_stacks(tmp_path):
        neighbours.register_stack(make_stack(folder, tmp_path, "00000001"))
    with neighbours.lock_stacks(tmp_path) as known:
        assert known == []
