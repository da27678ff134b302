import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.errors import HostError
from trustplane_local import ports


@given(st.sets(st.integers(20000, 20040)), st.sets(st.integers(20000, 20040)))
def test_chosen_ports_are_distinct_free_and_nobody_elses(busy: set[int], kept: set[int]) -> None:
    names = ["a", "b", "c"]
    available = set(range(20000, 20041)) - busy - kept
    if len(available) < len(names):
        with pytest.raises(HostError, match="free"):
            ports.choose_ports(names, kept, is_free=lambda port: port not in busy, order=range(20000, 20041))
        return
    chosen = ports.choose_ports(names, kept, is_free=lambda port: port not in busy, order=range(20000, 20041))
    assert list(chosen) == names
    assert len(set(chosen.values())) == 3
    assert set(chosen.values()) <= available


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")],  # noqa: S104 - for a moment
)
def test_a_port_that_somebody_listens_on_is_taken_and_the_holder_is_named(family: int, address: str) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert f"(pid {os.getpid()})" in ports.find_listener(port)
    assert ports.is_free(port)


def test_a_port_whose_connections_are_closing_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the server's side closes first and stays in TIME_WAIT
    assert ports.is_free(port)


def test_the_holder_is_read_from_ss() -> None:
    line = 'LISTEN 0 4096 127.0.0.1:6443 0.0.0.0:* users:(("kube-apiserver",pid=812,fd=7))\n'
    assert ports.parse_listener(line) == "kube-apiserver (pid 812)"
    assert ports.parse_listener("LISTEN 0 4096 127.0.0.1:6443 0.0.0.0:*\n") == ""
    assert ports.parse_listener("") == ""


def test_a_taken_port_is_told_with_part_holder_and_a_way_out() -> None:
    error = ports.occupied_error({"apiserver": 21001}, lambda _port: "nginx (pid 5)", Path("/state"))
    assert "port 21001 of apiserver is held by nginx (pid 5)" in error.why
    assert "1 of its ports is taken" in error.what
    assert "trustplane local down" in error.next_step
