from trustplane.nodes import hosts
from trustplane.nodes.state import NodeFile, NodeReport, RuntimeRun

DIRECTORY = "/etc/containerd/certs.d"
OURS = [f"{DIRECTORY}/r.test:5000/tkg-a.pem", f"{DIRECTORY}/r.test:5000/hosts.toml"]


def node(*paths: str) -> NodeReport:
    files = {f"{DIRECTORY}/{path}": NodeFile("x", 1) for path in paths}
    return NodeReport(files, None, RuntimeRun("active", "x", 1), None, frozenset(), False, 0, 0, "active", "t")


def test_files_without_effect_are_reported() -> None:
    state = node(
        "r.test:5000/ca.crt", "r.test:5000/client.cert", "r.test:5000/note.txt", "_default/hosts.toml", "x/ca.crt"
    )
    assert hosts.find_host_shadows("r.test:5000", state, OURS) == [
        hosts.Shadow(f"{DIRECTORY}/r.test:5000/ca.crt", f"{DIRECTORY}/r.test:5000/hosts.toml", is_managed=False),
        hosts.Shadow(f"{DIRECTORY}/r.test:5000/client.cert", f"{DIRECTORY}/r.test:5000/hosts.toml", is_managed=False),
        hosts.Shadow(f"{DIRECTORY}/_default", f"{DIRECTORY}/r.test:5000", is_managed=False),
    ]


def test_a_preferred_foreign_directory_shadows_the_managed_one() -> None:
    shadows = hosts.find_host_shadows("r.test:5000", node("r.test_5000_/hosts.toml"), [])
    assert shadows == [hosts.Shadow(f"{DIRECTORY}/r.test:5000", f"{DIRECTORY}/r.test_5000_", is_managed=True)]


def test_a_host_without_a_port_has_no_shadows() -> None:
    assert hosts.find_host_shadows("r.test", node("r.test/hosts.toml", "r.test/tkg-a.pem"), []) == []


def test_only_registries_with_managed_files_have_shadows() -> None:
    state = node("r.test_5000_/ca.crt", "other.test_5000_/ca.crt", "other.test:5000/hosts.toml")
    shadows = hosts.find_shadows(state, [*OURS, "/etc/ssl/certs/tkg-b.pem"])
    assert shadows == [hosts.Shadow(f"{DIRECTORY}/r.test:5000", f"{DIRECTORY}/r.test_5000_", is_managed=True)]
    assert hosts.find_shadows(state, ["/etc/ssl/certs/tkg-b.pem"]) == []
