import base64
import json

import pytest

from trustplane.errors import NodeError
from trustplane.nodes.state import LoadedFiles, NodeFile, RuntimeRun, TrustManifest, parse_node_report

A = "/etc/ssl/certs/tkg-a.pem"
SUM = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


REPORT = f"""manifest {b64(json.dumps({"version": 1, "files": {A: SUM}}))}
stat 1700000000 regular empty file|{A}
stat 1700000001 symbolic link|/etc/ssl/certs/tkg-a b.pem
sum {SUM}  {A}
token abc
openssl
link tkg-a.pem
certs 1700000002
bootstrapped 1700000009
runtime active 0a1b 1700000003
marker {b64(f"dd 0a1b{chr(10)}1700000000 {A}{chr(10)}")}
kubelet inactive
"""


def test_a_report_is_read() -> None:
    state = parse_node_report(REPORT)
    assert state.files == {
        A: NodeFile(SUM, 1700000000),
        "/etc/ssl/certs/tkg-a b.pem": NodeFile("", 1700000001, is_regular=False),
    }
    assert state.manifest == TrustManifest({A: SUM})
    assert state.runtime == RuntimeRun("active", "0a1b", 1700000003)
    assert (state.certs_changed_at, state.bootstrapped_at) == (1700000002, 1700000009)
    assert state.loaded == LoadedFiles("dd", "0a1b", {A: 1700000000})
    assert (state.links, state.has_openssl, state.kubelet_state, state.token) == (
        {"tkg-a.pem"},
        True,
        "inactive",
        "abc",
    )


def test_a_node_that_was_never_updated_has_no_record() -> None:
    state = parse_node_report("manifest \ntoken x\ncerts 5\nruntime absent - \nmarker \nkubelet \n")
    assert (state.files, state.manifest, state.loaded, state.has_openssl) == ({}, None, None, False)
    assert state.runtime == RuntimeRun("absent", "-", 0)
    assert not state.runtime.is_running


@pytest.mark.parametrize("marker", ["???", b64("\n"), b64("x"), base64.b64encode(b"\xff").decode()])
def test_an_unreadable_marker_is_as_good_as_none(marker: str) -> None:
    assert parse_node_report(f"token x\nmarker {marker}\nkubelet active\n").loaded is None


@pytest.mark.parametrize("report", ["", "sudo: a password is required", REPORT.partition("token")[0]])
def test_a_report_that_is_not_whole_is_refused(report: str) -> None:
    with pytest.raises(NodeError, match="not whole"):
        parse_node_report(report)


@pytest.mark.parametrize("manifest", [b64("{}"), b64("half"), "?"])
def test_an_unreadable_record_stops_us(manifest: str) -> None:
    with pytest.raises(NodeError, match=r"/etc/trustplane/trust\.json"):
        parse_node_report(f"manifest {manifest}\ntoken x\nkubelet active\n")
