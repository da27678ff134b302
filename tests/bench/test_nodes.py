"""The benchmark of nodes runs on two nodes, and removes them. The speed is not tested."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import nodes
from trustplane_local import residue

TOOLS = ["trustplane", "xargs -P10 ssh", "ansible-core"]


@pytest.mark.timeout(600)
def test_each_way_writes_its_ca_to_each_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--nodes=2", "--runs=1", "-o", "json"])
    nodes.main()  # it raises if a node lacks the CA, or if anything of the nodes remains
    document = json.loads(capsys.readouterr().out)
    assert (document["nodes"], document["at_a_time"]) == (2, 10)
    assert [tool["tool"] for tool in document["tools"]] == TOOLS
    assert [len(tool["seconds"]) for tool in document["tools"]] == [1, 1, 1]
    assert document["tools"][0]["ratio"] == 1


@pytest.mark.timeout(600)
def test_ctrl_c_removes_everything() -> None:
    command = [sys.executable, "-m", "bench.nodes", "--nodes=2", "--runs=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = next(found for line in process.stderr if (found := re.search(r"/stack=(\w+)", line)))
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert (process.returncode, "Traceback" in said) == (130, False), said
    places = [Path("/run/trustplane", found[1])]
    assert residue.find_leftovers(f"tp-{found[1]}", places, f"trustplane-{found[1]}") == []


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    nodes.show(50, [nodes.Row(TOOLS[0], (2.0, 1.0, 9.0)), nodes.Row(TOOLS[1], (2.0,)), nodes.Row(TOOLS[2], (11.0,))])
    output = capsys.readouterr().out
    assert "One CA added to 50 nodes" in output
    assert "5.5 times as fast as Ansible" in output
    assert "takes 1.00 times" in output


def test_without_ansible_no_node_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", f"--ansible={tmp_path}/ansible-playbook"])
    with pytest.raises(SystemExit, match="make bench-nodes"):
        nodes.main()
