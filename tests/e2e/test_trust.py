"""The life of trust on a running cluster: added, wrong, removed, in place; proven by every node; a node that is off."""

import datetime as dt
import json
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from e2e.clusters import (
    PATIENTLY,
    WORKERS,
    authorities,
    condition,
    configure,
    encoded,
    local,
    name_of,
    on_node,
    ready_nodes,
    request_update,
    running_parts,
    scoped,
    trust_status,
    trustplane,
    up,
    update,
    workers,
)
from e2e.foreign import FOREIGN, PLANT, certificate
from trustplane.errors import TransientError
from trustplane_local import registry
from trustplane_local.bench.load import COUNTING_SCRIPT
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters, wait_running
from trustplane_local.stack import Stack

NODES = 1 + WORKERS
MANY = 150
GROUPS = ("machinedeployments.cluster.x-k8s.io", "kubeadmcontrolplanes.controlplane.cluster.x-k8s.io")


@pytest.fixture(scope="module")
def trusting(stack: Stack, fleet: DemoClusters, deep: str) -> Iterator[str]:
    """The cluster with both CAs for whole nodes; files of somebody else on every node stay as they are."""
    updated(stack, deep)
    for machine in fleet.machines(deep):
        on_node(fleet, deep, machine, PLANT)
    before = {name_of(one): on_node(fleet, deep, one, FOREIGN) for one in fleet.machines(deep)}
    yield deep
    after = {name_of(one): on_node(fleet, deep, one, FOREIGN) for one in fleet.machines(deep)}
    assert after == before


def updated(stack: Stack, cluster: str) -> None:
    assert "Proven" in update(stack, cluster)


def files_of_ours(fleet: DemoClusters, cluster: str) -> dict[str, str]:
    """Return the list of our files with their digests, by machine."""
    command = "cd /etc/ssl/certs && sha256sum $(ls tkg-*.pem | grep -v theirs); ls -A .trustplane 2>/dev/null || :"
    return {name_of(one): on_node(fleet, cluster, one, command) for one in fleet.machines(cluster)}


def probe_pods(fleet: DemoClusters, cluster: str) -> list[str]:
    pods = fleet.workload(cluster).get("pods", "-n", "trustplane-system")["items"]
    return [one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]]


def test_every_node_proves_it_cordoned_and_tainted_ones_too(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    node = name_of(workers(fleet, trusting)[0])
    kubectl = fleet.workload(trusting)
    kubectl.run("cordon", node)
    kubectl.run("taint", "node", node, "test=taint:NoExecute")
    done = trustplane(stack, "prove", trusting, "-o", "json")
    kubectl.run("taint", "node", node, "test-")
    kubectl.run("uncordon", node)
    assert done.returncode == 0, done.stdout + done.stderr
    hosts = {one.host for one in registry.registries_of(stack)}
    rows = {(row["node"], row["registry"]): row["verdict"] for row in json.loads(done.stdout)}
    assert rows == {(name, host): "Trusted" for name in fleet.names(trusting) for host in hosts}
    assert not probe_pods(fleet, trusting)


def test_removed_in_place_and_refused_afterwards(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    corp, apps = registry.registries_of(stack)
    machines = fleet.names(trusting)
    fleet.supervisor.run(
        "delete", "registries.trustplane.dev", manifests.registry_manifest(apps.host)["metadata"]["name"]
    )
    configure(fleet, {corp.ca_name: corp.ca.read_bytes()})
    updated(stack, trusting)
    assert fleet.names(trusting) == machines
    assert not any(apps.ca_name in listing for listing in files_of_ours(fleet, trusting).values())
    kubeconfig = fleet.workload(trusting).kubeconfig
    done = trustplane(stack, "prove", f"--kubeconfig={kubeconfig}", "--registry", apps.host, "-o", "json")
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert [row["verdict"] for row in rows] == ["NotTrusted"] * NODES
    assert all("x509: certificate signed by unknown authority" in row["message"] for row in rows)


def test_added_for_one_registry_without_restarting_containerd(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    apps = registry.registries_of(stack)[1]
    before = runs_of_containerd(fleet, trusting)
    configure(fleet, authorities(stack), **scoped(stack))
    fleet.supervisor.apply(manifests.registry_manifest(apps.host), file="registry.yaml")
    updated(stack, trusting)
    assert runs_of_containerd(fleet, trusting) == before
    assert not any(apps.ca_name in listing for listing in files_of_ours(fleet, trusting).values())


def runs_of_containerd(fleet: DemoClusters, cluster: str) -> dict[str, str]:
    command = "systemctl show -p InvocationID --value containerd"
    return {name_of(one): on_node(fleet, cluster, one, command) for one in fleet.machines(cluster)}


def test_added_in_place_without_stopping_a_pod(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    corp, apps = registry.registries_of(stack)
    kubectl = fleet.workload(trusting)
    counter = manifests.deployment_manifest("counter", corp.image, credentials="counter")
    counter["spec"]["replicas"] = 3
    counter["spec"]["template"]["spec"]["containers"][0]["command"] = ["/bin/busybox", "sh", "-c", COUNTING_SCRIPT]
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "counter"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "counter"}}},
    }
    secret = manifests.pull_secret("counter", corp.host, corp.username, corp.password())
    kubectl.apply(secret, counter, budget, file="counter.yaml")
    kubectl.run("rollout", "status", "deployment/counter", "--timeout=50s")
    before, machines = running_containers(fleet, trusting), fleet.names(trusting)

    configure(fleet, authorities(stack))
    held(fleet, trusting, apps.ca_name)
    updated(stack, trusting)

    assert fleet.names(trusting) == machines
    assert running_containers(fleet, trusting) == before
    assert condition(trust_status(fleet, trusting), "Proven")["status"] == "True"
    secret = manifests.pull_secret("cart", apps.host, apps.username, apps.password())
    kubectl.apply(secret, manifests.deployment_manifest("cart", apps.image, credentials="cart"), file="cart.yaml")
    wait_running(fleet.story, kubectl, "cart")
    kubectl.run("delete", "deployment/counter", "poddisruptionbudget/counter")  # it would keep nodes from being drained


def running_containers(fleet: DemoClusters, cluster: str) -> set[tuple[str, str, int]]:
    pods = fleet.workload(cluster).get("pods", "-l", "app=counter")["items"]
    statuses = [(pod, status) for pod in pods for status in pod["status"]["containerStatuses"]]
    return {(pod["metadata"]["uid"], one["containerID"], one["restartCount"]) for pod, one in statuses}


def held(fleet: DemoClusters, cluster: str, words: str) -> None:
    """The change is shown, and starts nothing by itself."""

    def probe() -> tuple[bool, str]:
        current = condition(trust_status(fleet, cluster), "Current")
        return current["status"] == "False" and words in current["message"], str(current)

    fleet.story.until("the change is shown and held", probe, seconds=30)


def test_a_wrong_ca_stops_at_the_first_node_and_the_right_one_goes_on(
    stack: Stack, fleet: DemoClusters, trusting: str
) -> None:
    apps = registry.registries_of(stack)[1]
    before, machines = files_of_ours(fleet, trusting), fleet.names(trusting)
    wrong = certificate(apps.ca_name, ec.generate_private_key(ec.SECP256R1()))
    configure(fleet, authorities(stack) | {apps.ca_name: wrong})

    done = trustplane(stack, "update", trusting, *PATIENTLY)

    assert done.returncode == 1, done.stdout + done.stderr
    after = files_of_ours(fleet, trusting)
    (canary,) = [name for name in after if after[name] != before[name]]
    fingerprint = x509.load_pem_x509_certificate(wrong).fingerprint(hashes.SHA256()).hex()
    said = condition(trust_status(fleet, trusting), "Proven")
    assert said["status"] == "False"
    assert all(one in said["message"] for one in (canary, apps.host, fingerprint[:10])), said
    assert all(one in done.stdout + done.stderr for one in (canary, apps.host, fingerprint[:10])), done.stdout

    configure(fleet, authorities(stack))
    updated(stack, trusting)
    assert files_of_ours(fleet, trusting) == before
    assert fleet.names(trusting) == machines


def test_what_somebody_writes_in_the_boot_set_is_undone_and_told(fleet: DemoClusters, trusting: str) -> None:
    name = f"{trusting}-trust"
    before = fleet.supervisor.get("secret", name)["data"]
    fleet.supervisor.run("patch", "secret", name, "-p", json.dumps({"data": {"bundle.pem": "bm90aGluZw=="}}))
    fleet.story.until(
        "the boot set is as before",
        lambda: (fleet.supervisor.get("secret", name)["data"] == before, "not yet"),
        seconds=30,
    )
    fleet.supervisor.run("delete", "secret", name)

    def probe() -> tuple[bool, str]:
        found = fleet.supervisor.run("get", "secret", name, "--ignore-not-found", "-o", "jsonpath={.data.bundle\\.pem}")
        return found == before["bundle.pem"], found[:40]

    fleet.story.until("the boot set is there again", probe, seconds=30)
    reasons = [one["reason"] for one in fleet.supervisor.get("events.events.k8s.io")["items"]]
    assert "TrustBootSetRestored" in reasons


def test_undo_brings_back_what_was_there_before_and_an_update_ends_that(
    stack: Stack, fleet: DemoClusters, trusting: str
) -> None:
    apps = registry.registries_of(stack)[1]
    extra = {"extra": certificate("extra", ec.generate_private_key(ec.SECP256R1()))}
    before = files_of_ours(fleet, trusting)
    configure(fleet, authorities(stack) | extra)
    updated(stack, trusting)
    after = files_of_ours(fleet, trusting)
    done = trustplane(stack, "undo", trusting, *PATIENTLY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert files_of_ours(fleet, trusting) == before
    current = condition(trust_status(fleet, trusting), "Current")
    assert (current["status"], current["reason"]) == ("False", "Undone")
    assert "extra" in current["message"]
    updated(stack, trusting)
    assert files_of_ours(fleet, trusting) == after
    configure(fleet, authorities(stack))
    updated(stack, trusting)
    assert apps.ca_name in str(files_of_ours(fleet, trusting))


def test_another_update_takes_the_current_trust_along(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    """Rule P4. Where this class has another size of machines, nothing but the object differs: none is replaced."""
    machines = fleet.names(trusting)
    extra = {"extra": certificate("extra", ec.generate_private_key(ec.SECP256R1()))}
    configure(fleet, authorities(stack) | extra)
    held(fleet, trusting, "extra")
    size = [{"op": "replace", "path": "/spec/topology/nodePools/0/vmClass", "value": "best-effort-large"}]
    fleet.supervisor.run("patch", "tkc", trusting, "--type=json", "-p", json.dumps(size))
    taken(fleet, trusting, "OtherUpdate", {*authorities(stack), "extra"})
    fleet.story.until(
        "the rest of the change follows",
        lambda: ("best-effort-large" in fleet.supervisor.run("get", "cluster", trusting, "-o", "yaml"), ""),
        seconds=30,
    )
    assert fleet.names(trusting) == machines


def test_the_own_list_of_a_cluster_is_taken_at_once(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    """Rule P5."""
    machines = fleet.names(trusting)
    own = authorities(stack) | {"own": certificate("own", ec.generate_private_key(ec.SECP256R1()))}
    listed = [{"name": name, "data": encoded(pem)} for name, pem in own.items()]
    for trust, names in (({"additionalTrustedCAs": listed}, {*own}), (None, {*authorities(stack), "extra"})):
        # To have none of its own is to lose all of it, though the service's list has most of that.
        allowed = {"trustplane.dev/allow-removal": None if trust else "true"}
        body = {"metadata": {"annotations": allowed}, "spec": {"settings": {"network": {"trust": trust}}}}
        fleet.supervisor.run("patch", "tkc", trusting, "--type=merge", "-p", json.dumps(body))
        taken(fleet, trusting, "OwnTrustChanged", names)
    assert fleet.names(trusting) == machines
    configure(fleet, authorities(stack))
    updated(stack, trusting)


def taken(fleet: DemoClusters, cluster: str, reason: str, names: set[str]) -> None:
    """Wait until the cluster has a list of these entries in force, for that reason, proven by every node."""

    def probe() -> tuple[bool, str]:
        status = trust_status(fleet, cluster)
        entries = {one["name"] for one in status["desired"]["entries"]}
        states = [condition(status, one).get("status") for one in ("Current", "Proven")]
        found = (status["inForce"].get("reason"), entries, states)
        return found == (reason, names, ["True", "True"]), str(found)

    fleet.story.until(f"{cluster} has taken it: {reason}", probe, seconds=120)


def test_a_node_that_is_off_keeps_nobody_waiting_and_is_brought_up_to_date_when_it_returns(
    stack: Stack, fleet: DemoClusters, trusting: str
) -> None:
    corp, apps = registry.registries_of(stack)
    machines, off = fleet.names(trusting), name_of(workers(fleet, trusting)[0])
    fleet.supervisor.run(
        "delete", "registries.trustplane.dev", manifests.registry_manifest(apps.host)["metadata"]["name"]
    )
    local(stack, "kill", off)
    states(fleet, trusting, {off: "Unreachable"}, proven=NODES - 1)
    configure(fleet, {corp.ca_name: corp.ca.read_bytes()})
    request_update(fleet, trusting, dt.datetime.now(dt.UTC).isoformat())
    states(fleet, trusting, {off: "Unreachable"}, proven=NODES - 1, without=apps.ca_name)
    up(stack)
    updated(stack, trusting)
    assert fleet.names(trusting) == machines
    assert not any(apps.ca_name in listing for listing in files_of_ours(fleet, trusting).values())


def states(fleet: DemoClusters, cluster: str, wanted: dict[str, str], *, proven: int, without: str = "") -> None:
    """Wait until so many nodes have proven the set in force, and the others are in these states."""

    def probe() -> tuple[bool, str]:
        status = trust_status(fleet, cluster)
        desired = [one["name"] for one in status["desired"]["entries"]]
        is_taken = without not in desired and status["inForce"]["digest"] == status["desired"]["digest"]
        found = {one["machine"]: one["state"] for one in status.get("nodes", [])}
        good = is_taken and found == wanted and status["summary"]["proven"] == proven
        return good, json.dumps({"nodes": status.get("nodes"), "summary": status["summary"], "entries": desired})

    fleet.story.until(f"{proven} nodes are proven, the others {wanted}", probe, seconds=300)


def test_150_cas_of_rsa_4096(stack: Stack, fleet: DemoClusters, trusting: str) -> None:
    key = rsa.generate_private_key(65537, 4096)
    many = {f"ca-{number:03}": certificate(f"CA {number:03}", key) for number in range(MANY - 2)}
    machines = fleet.names(trusting)
    configure(fleet, many | authorities(stack))
    updated(stack, trusting)
    assert fleet.names(trusting) == machines
    assert all(listing.count(".pem") == MANY for listing in files_of_ours(fleet, trusting).values())
    sizes = object_sizes(fleet)
    print("\n" + "\n".join(f"{kind}: {size} bytes" for kind, size in sizes.items()))  # noqa: T201 - the measured sizes
    assert all(size < 1_000_000 for size in sizes.values()), sizes  # etcd takes 1.5 MiB in one request
    with pytest.raises(TransientError, match="allow-removal"):
        configure(fleet, authorities(stack))
    configure(fleet, authorities(stack), **{"trustplane.dev/allow-removal": "true"})
    updated(stack, trusting)
    assert ready_nodes(fleet, trusting, NODES)[0]
    assert len(running_parts(stack)) > 1


def object_sizes(fleet: DemoClusters) -> dict[str, int]:
    """Return the size of the largest object of each kind that grows with the list."""
    kinds = ("tkgserviceconfiguration", "secrets", "clusters.cluster.x-k8s.io", "kubeadmconfigs", "clustertrusts")
    kinds += ("kubeadmconfigtemplates", "kubeadmcontrolplanes", "machines.cluster.x-k8s.io")
    lists = {kind: fleet.supervisor.get(kind, "--show-managed-fields")["items"] for kind in kinds}
    return {kind: max(len(json.dumps(one)) for one in items) for kind, items in lists.items() if items}
