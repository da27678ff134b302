from trustplane.nodes import hosts
from trustplane.nodes.state import NodeFile, NodeReport, RuntimeRun

DIRECTORY = "/etc/containerd/certs.d"
OURS = [f"{DIRECTORY}/r.test:5000/tkg-a.pem", f"{DIRECTORY}/r.test:5000/hosts.toml"]


def node(*paths: str) -> NodeReport:
    files = {f"{DIRECTORY}/{path}": NodeFile("x", 1) for path in paths}
    return NodeReport(files, None, RuntimeRun("active", "x", 1), None, frozenset(), False, 0, 0, "active", "t")


def test_what_has_no_effect_is_reported() -> None:
    state = node(
        "r.test:5000/ca.crt", "r.test:5000/client.cert", "r.test:5000/note.txt", "_default/hosts.toml", "x/ca.crt"
    )
    found = hosts.find_host_shadows("r.test:5000", state, OURS)
    assert found == [
        hosts.Shadow(f"{DIRECTORY}/r.test:5000/ca.crt", f"{DIRECTORY}/r.test:5000/hosts.toml", is_managed=False),
        hosts.Shadow(f"{DIRECTORY}/r.test:5000/client.cert", f"{DIRECTORY}/r.test:5000/hosts.toml", is_managed=False),
        hosts.Shadow(f"{DIRECTORY}/_default", f"{DIRECTORY}/r.test:5000", is_managed=False),
    ]


def test_a_nearer_directory_of_somebody_else_shadows_ours() -> None:
    found = hosts.find_host_shadows("r.test:5000", node("r.test_5000_/hosts.toml"), [])
    assert found == [hosts.Shadow(f"{DIRECTORY}/r.test:5000", f"{DIRECTORY}/r.test_5000_", is_managed=True)]


def test_a_host_alone_shadows_nothing() -> None:
    assert hosts.find_host_shadows("r.test", node("r.test/hosts.toml", "r.test/tkg-a.pem"), []) == []


def test_every_registry_of_ours_is_looked_at_and_no_other() -> None:
    state = node("r.test_5000_/ca.crt", "other.test_5000_/ca.crt", "other.test:5000/hosts.toml")
    found = hosts.find_shadows(state, [*OURS, "/etc/ssl/certs/tkg-b.pem"])
    assert found == [hosts.Shadow(f"{DIRECTORY}/r.test:5000", f"{DIRECTORY}/r.test_5000_", is_managed=True)]
    assert hosts.find_shadows(state, ["/etc/ssl/certs/tkg-b.pem"]) == []
