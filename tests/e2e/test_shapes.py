"""Trust on clusters without a TanzuKubernetesCluster, set up as in docs/how-to/own-clusterclass.md.

`shop` has a user's ClusterClass, patched by `trustplane class patch`; `web` has no class. Both are created at the
same time, and slow changes start on both before the test waits for one.
"""

import base64
import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from e2e.clusters import (
    authorities,
    condition,
    name_of,
    on_node,
    pulls_everywhere,
    running_parts,
    trust_status,
    up,
    workers,
)
from e2e.documented import Page
from e2e.foreign import FOREIGN, PLANT, certificate
from e2e.shapes import BANNER, own_class, plain, topology
from trustplane.errors import TransientError
from trustplane_local import registry
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.demo.kubectl import ShownKubectl
from trustplane_local.stack import Stack

Json = dict[str, Any]

PAGE = "how-to/own-clusterclass.md"
CLASS_SECTION, CLUSTER_SECTION, PLAIN_SECTION = "A ClusterClass", "The Cluster's trust", "No ClusterClass"
CLASS_NAME = "my-class"
NODES = 2
SYSTEM = "/etc/ssl/certs/tkg-{}.pem"
SCOPED = "/etc/containerd/certs.d/{}/{}"
LIST = "{}-authorities"  # as on the page
APPLIED = "trustplane.dev/trust-applied"
GATE = "trustplane.dev/TrustUpToDate"
# The kubelet starts with this file, and pulls nothing earlier.
KUBELET = "/var/lib/kubelet/config.yaml"


@dataclass(frozen=True)
class Shape:
    """A cluster of one shape."""

    name: str
    namespace: str
    fleet: DemoClusters

    @property
    def machines(self) -> list[Json]:
        return self.fleet.list_machines(self.name)

    @property
    def uids(self) -> set[str]:
        return {str(machine["metadata"]["uid"]) for machine in self.machines}

    @property
    def status(self) -> Json:
        return trust_status(self.fleet, self.name)

    @property
    def in_force(self) -> str:
        return str(self.status["inForce"]["digest"])

    def on_nodes(self, command: str) -> dict[str, str]:
        """Return the output of a command on each node, run as root, by machine."""
        return {name_of(machine): on_node(self.fleet, self.name, machine, command) for machine in self.machines}

    def asks(self, secret: str, data: Json, entries: Sequence[Json]) -> str:
        """Make the cluster request a list, in the way of its shape; return kubectl's output.

        Args:
            secret: Name of the Secret.
            data: PEM by entry.
            entries: As the variable has them.
        """
        kubectl = self.fleet.supervisor
        scope = ", ".join(f"{entry['name']}={host}" for entry in entries for host in entry.get("hosts", []))
        texts = {f"{entry['name']}.pem": data[entry["name"]] for entry in entries}
        if not self._has_class and scope:
            texts["registry-scope"] = scope.encode()
        body = {name: base64.b64encode(text).decode() for name, text in texts.items()}
        metadata = {"name": secret, "namespace": self.namespace}
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": body}, file="list.yaml")
        if not self._has_class:
            return kubectl.run("annotate", "cluster", self.name, "--overwrite", f"trustplane.dev/trust-secret={secret}")
        variables = kubectl.get("cluster", self.name)["spec"]["topology"]["variables"]
        number = next(index for index, one in enumerate(variables) if one["name"] == "trust")
        value = {"secretName": secret, "additionalTrustedCAs": list(entries)}
        patch = [{"op": "replace", "path": f"/spec/topology/variables/{number}/value", "value": value}]
        return kubectl.run("patch", "cluster", self.name, "--type=json", "-p", json.dumps(patch))

    @property
    def _has_class(self) -> bool:
        return self.name == "shop"

    def wait(self, *names: str, proven: int = NODES) -> None:
        """Wait until the nodes have proven a list of exactly these entries."""

        def probe() -> tuple[bool, str]:
            status = self.status
            entries = [one["name"] for one in status.get("desired", {}).get("entries", [])]
            states = [condition(status, type_).get("status") for type_ in ("Current", "Proven")]
            count = status.get("summary", {}).get("proven")
            good = sorted(names) == sorted(entries) and states == ["True", "True"] and count == proven
            messages = [condition(status, type_).get("message") for type_ in ("Current", "Proven")]
            return good, json.dumps([entries, count, *messages])

        self.fleet.story.wait_until(f"{self.name} has proven {', '.join(names)}", probe, seconds=300)

    def wait_nodes(self) -> None:
        """Wait until all nodes are ready, and no machine is being created or removed."""

        def probe() -> tuple[bool, str]:
            try:
                nodes = self.fleet.open_workload(self.name).get("nodes")["items"]
            except TransientError as error:
                return False, str(error)
            conditions = [one for node in nodes for one in node["status"]["conditions"]]
            ready = sum(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            return ready == len(nodes) == len(self.machines) == NODES, f"{ready} of {len(nodes)} nodes are ready"

        self.fleet.story.wait_until(f"{self.name} has {NODES} nodes", probe, seconds=400)


@pytest.fixture(scope="module")
def page(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page, in a folder with the CAs of both registries, which it names."""
    found = Page(PAGE, stack, tmp_path_factory.mktemp("own"))
    for name, one in zip(("corp", "apps"), registry.registries_of(stack), strict=True):
        (found.folder / f"{name}.pem").write_bytes(one.ca.read_bytes())
    return found


@pytest.fixture(scope="module")
def own(stack: Stack, fleet: DemoClusters, page: Page) -> Iterator[Json]:
    """The ClusterClass after the page's commands, and both namespaces."""
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("team-a", "team-b")]
    objects = own_class(stack, CLASS_NAME, "team-a")
    fleet.supervisor.apply(*spaces, *objects, file="class.yaml")
    said = page.follow(CLASS_SECTION)
    assert "Rolls no clusters of the class" in said
    made, body = yaml.safe_load((page.folder / "patch.yaml").read_text())["spec"], objects[-1]
    body["spec"]["patches"] += made["patches"]
    body["spec"]["variables"] += made["variables"]
    fleet.supervisor.apply(body, file="class.yaml")
    assert "there is nothing to add" in page.run(page.commands(CLASS_SECTION)[0]).stderr
    yield body
    fleet.supervisor.run("delete", "namespace", "team-a", "team-b", "--wait=false")


@pytest.fixture(scope="module")
def shapes(
    stack: Stack, fleet: DemoClusters, page: Page, own: Json, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shape, ...]]:
    """Both clusters, created at the same time."""
    del own
    version = fleet.supervisor.get("tkr")["items"][-1]["spec"]["kubernetes"]["version"]
    hosts = [one.host for one in registry.registries_of(stack)]
    registries = [manifests.registry_manifest(host) for host in hosts]
    fleet.supervisor.apply(*registries, file="registries.yaml")
    page.follow("The key")
    page.follow(CLUSTER_SECTION)
    key = (page.folder / "shop-key.pub").read_text().strip()
    shop = topology(page.manifest(CLUSTER_SECTION, "Cluster"), version, user={"sshAuthorizedKey": key}, **{BANNER: "A"})
    page.follow(PLAIN_SECTION)
    added = yaml.safe_load((page.folder / "bootstrap.yaml").read_text())
    web = plain(stack, page.manifest(PLAIN_SECTION, "Cluster"), version, added)
    folder = tmp_path_factory.mktemp("teams")
    made = tuple(
        Shape(name, space, within(stack, fleet, space, folder))
        for name, space in (("shop", "team-a"), ("web", "team-b"))
    )
    try:
        fleet.supervisor.apply(shop, *web, file="clusters.yaml")
        for one in made:
            one.wait_nodes()
        for one in made:
            one.wait("apps", "corp")
        yield made
    finally:
        for one in made:
            one.fleet.supervisor.run("delete", "cluster", one.name, "--wait=false", "--ignore-not-found")
        for one in made:
            one.fleet.story.wait_until(f"{one.name} is gone", partial(is_gone, one), seconds=180)
        names = (one["metadata"]["name"] for one in registries)
        fleet.supervisor.run("delete", "registries.trustplane.dev", "--ignore-not-found", *names)


def within(stack: Stack, fleet: DemoClusters, namespace: str, folder: Path) -> DemoClusters:
    """Return a fleet with a default namespace for its commands."""
    config = yaml.safe_load(stack.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    file = folder / f"{namespace}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return DemoClusters(
        fleet.story, ShownKubectl(fleet.story, stack.bin / "kubectl", file), stack.bin / "kubectl", folder
    )


def is_gone(shape: Shape) -> tuple[bool, str]:
    kinds = "clusters.cluster.x-k8s.io,machines.cluster.x-k8s.io,localmachines,localclusters,clustertrusts"
    items = shape.fleet.supervisor.get(kinds)["items"]
    items += shape.fleet.supervisor.get("secrets", "-l", "trustplane.dev/cluster")["items"]
    return not items, ", ".join(str(item["metadata"]["name"]) for item in items)


@pytest.fixture(scope="module")
def listed(stack: Stack) -> dict[str, bytes]:
    """PEM by entry: the CAs of both registries, and one more."""
    corp, apps = authorities(stack).values()
    return {"corp": corp, "apps": apps, "extra": certificate("extra", ec.generate_private_key(ec.SECP256R1()))}


@pytest.fixture(scope="module")
def entries(stack: Stack) -> dict[str, Json]:
    """Entries by name, as in the variable; one is registry-scoped."""
    apps = registry.registries_of(stack)[1]
    return {
        name: {"name": name, **({"hosts": [apps.host]} if name == "apps" else {})} for name in ("corp", "apps", "extra")
    }


@pytest.fixture(scope="module")
def planted(shapes: tuple[Shape, ...]) -> dict[str, dict[str, str]]:
    """Foreign files on every node; on machines that stay they are unchanged at the end (P9)."""
    for one in shapes:
        one.on_nodes(PLANT)
    return {shape.name: shape.on_nodes(FOREIGN) for shape in shapes}


def test_a_cluster_of_the_class_without_a_trust_variable_gets_its_machines(
    stack: Stack, fleet: DemoClusters, own: Json, page: Page, tmp_path: Path
) -> None:
    """After the patch of the class, no machine of it boots without the Secret."""
    version = fleet.supervisor.get("tkr")["items"][-1]["spec"]["kubernetes"]["version"]
    cluster = topology(page.manifest(CLUSTER_SECTION, "Cluster"), version)
    cluster["metadata"]["name"] = "quiet"
    del cluster["spec"]["topology"]["variables"], cluster["spec"]["topology"]["workers"]
    kubectl = within(stack, fleet, own["metadata"]["namespace"], tmp_path).supervisor
    kubectl.apply(cluster, file="quiet.yaml")

    def probe() -> tuple[bool, str]:
        found = kubectl.get("kubeadmconfigs", "-l", "cluster.x-k8s.io/cluster-name=quiet")["items"]
        conditions = [condition(one.get("status", {}), "DataSecretAvailable") for one in found]
        return [one.get("status") for one in conditions] == ["True"], json.dumps(conditions)

    try:
        fleet.story.wait_until("bootstrap data is made", probe, seconds=90)
        assert "trustplane-set-" in secret_text(kubectl, "quiet-trust")
    finally:
        kubectl.run("delete", "cluster", "quiet", "--wait=false")


def test_machines_boot_with_the_trust_before_the_first_pull(
    stack: Stack, shapes: tuple[Shape, ...], page: Page
) -> None:
    apps = registry.registries_of(stack)[1].host
    files = [SYSTEM.format("corp"), SCOPED.format(apps, "hosts.toml"), SCOPED.format(apps, "tkg-apps.pem")]
    older = "\n".join(f"[ {file} -ot {KUBELET} ]" for file in files)
    is_there = page.commands("Check the result")[-1].partition("@NODE ")[2]
    for shape in shapes:
        boots = {f"trustplane-set-{shape.in_force}\ncomplete\n"}
        assert set(shape.on_nodes(f"set -e\n{older}\n{is_there}").values()) == boots
        applied = [json.loads(machine["metadata"]["annotations"][APPLIED]) for machine in shape.machines]
        assert [(one["method"], one["digest"]) for one in applied] == [("Bootstrap", shape.in_force)] * NODES
        pulls_everywhere(shape.fleet, stack, shape.name)
    for command in page.commands("Check the result")[:-1]:
        process = page.run(command)
        assert process.returncode == 0, f"$ {command}\n{process.stdout}{process.stderr}"
        assert "<none>" not in process.stdout


@pytest.mark.usefixtures("planted")
def test_a_change_of_the_own_list_is_written_in_place_and_proven(
    shapes: tuple[Shape, ...], listed: dict[str, bytes], entries: dict[str, Json]
) -> None:
    before = [one.uids for one in shapes]
    for shape in reversed(shapes):
        # For `web` only the Secret changes, without any announcement.
        shape.asks(LIST.format(shape.name), listed, list(entries.values()))
    for shape in shapes:
        shape.wait(*entries)
        has = shape.on_nodes(f"cat {SYSTEM.format('extra')}")
        assert set(has.values()) == {listed["extra"].decode()}
    assert [one.uids for one in shapes] == before


def test_another_encoding_changes_nothing_and_a_removed_entry_is_no_longer_trusted(
    stack: Stack,
    fleet: DemoClusters,
    shapes: tuple[Shape, ...],
    listed: dict[str, bytes],
    entries: dict[str, Json],
    page: Page,
) -> None:
    apps = registry.registries_of(stack)[1].host
    other = listed | {"corp": b"# ours\r\n" + listed["corp"].replace(b"\n", b"\r\n")}
    fleet.supervisor.run("delete", "registries.trustplane.dev", manifests.registry_manifest(apps)["metadata"]["name"])
    before, command = [one.uids for one in shapes], f"stat -c '%y %i' {SYSTEM.format('corp')}"
    written = [one.on_nodes(command) for one in shapes]
    for shape in shapes:
        shape.asks(f"{shape.name}-less", other, [entries["corp"], entries["extra"]])
    for shape in shapes:
        shape.wait("corp", "extra")
        kubeconfig = shape.fleet.open_workload(shape.name).kubeconfig
        process = page.run(f"trustplane prove --kubeconfig={kubeconfig} --registry={apps} -o json")
        rows = json.loads(process.stdout)
        assert [row["verdict"] for row in rows] == ["NotTrusted"] * NODES
        assert all("x509: certificate signed by unknown authority" in row["message"] for row in rows)
    assert [one.on_nodes(command) for one in shapes] == written
    assert [one.uids for one in shapes] == before
    fleet.supervisor.apply(manifests.registry_manifest(apps), file="registry.yaml")


def test_a_broken_list_is_refused_or_reported_and_removes_nothing(
    shapes: tuple[Shape, ...], listed: dict[str, bytes], entries: dict[str, Json]
) -> None:
    shop, web = shapes
    broken, files = listed | {"corp": b"just some text"}, "sha256sum /etc/ssl/certs/tkg-*.pem"
    before, digest = web.on_nodes(files), web.in_force
    with pytest.raises(TransientError, match="no certificate"):
        shop.asks("shop-broken", broken, [entries["corp"], entries["extra"]])
    web.asks("web-broken", broken, [entries["corp"], entries["extra"]])

    def probe() -> tuple[bool, str]:
        current = condition(web.status, "Current")
        return current["reason"] == "Invalid" and "web-broken" in current["message"], str(current)

    web.fleet.story.wait_until("the list is reported", probe, seconds=60)
    assert "stays in force" in condition(web.status, "Current")["message"]
    assert (web.in_force, web.on_nodes(files)) == (digest, before)
    for shape in shapes:
        shape.asks(LIST.format(shape.name), listed, list(entries.values()))
    for shape in shapes:
        shape.wait(*entries)


def test_a_tenants_edit_of_the_boot_set_is_reverted_and_reported(shapes: tuple[Shape, ...]) -> None:
    for shape in shapes:
        kubectl, name = shape.fleet.supervisor, f"{shape.name}-trust"
        before = secret_text(kubectl, name)
        edited = base64.b64encode(before.replace("MII", "MIJ").encode()).decode()
        kubectl.run("patch", "secret", name, "-p", json.dumps({"data": {"bundle.pem": edited}}))
        restored(shape, before, "TrustBootSetRestored")
        kubectl.run("delete", "secret", name)
        restored(shape, before, "TrustBootSetMissing")


def restored(shape: Shape, text: str, reason: str) -> None:
    """Wait until the boot set has a text, and an Event of the Cluster reports it."""
    kubectl = shape.fleet.supervisor

    def probe() -> tuple[bool, str]:
        events = kubectl.get("events.events.k8s.io")["items"]
        reasons = {event["reason"] for event in events if event["regarding"].get("name") == shape.name}
        return reason in reasons and secret_text(kubectl, f"{shape.name}-trust") == text, str(reasons)

    shape.fleet.story.wait_until(f"the boot set of {shape.name} is as before: {reason}", probe, seconds=30)


def secret_text(kubectl: ShownKubectl, name: str) -> str:
    found = kubectl.run("get", "secret", name, "--ignore-not-found", "-o", "jsonpath={.data.bundle\\.pem}")
    return base64.b64decode(found).decode()


def test_a_machine_recreated_by_cluster_api_boots_with_the_set_in_force(
    stack: Stack, shapes: tuple[Shape, ...], planted: dict[str, dict[str, str]]
) -> None:
    """Change the class' variable, which disables other patches, and `rollout.after` of a pool."""
    shop, web = shapes
    for shape in shapes:
        assert shape.on_nodes(FOREIGN) == planted[shape.name]
    before = [one.uids for one in shapes]
    variables = shop.fleet.supervisor.get("cluster", "shop")["spec"]["topology"]["variables"]
    kept = [variable for variable in variables if variable["name"] != BANNER]
    patch = {"spec": {"topology": {"variables": kept}}}
    shop.fleet.supervisor.run("patch", "cluster", "shop", "--type=merge", "-p", json.dumps(patch))
    replace_workers(web)
    for shape, old in zip(shapes, before, strict=True):
        wait_replaced(shape, old, left=1)
        (worker,) = workers(shape.fleet, shape.name)
        booted = on_node(shape.fleet, shape.name, worker, "cat /etc/trustplane/booted")
        assert booted == f"trustplane-set-{shape.in_force}\ncomplete\n"
        shape.wait("corp", "apps", "extra")
        applied = json.loads(workers(shape.fleet, shape.name)[0]["metadata"]["annotations"][APPLIED])
        assert (applied["method"], applied["digest"]) == ("Bootstrap", shape.in_force)
        pulls_everywhere(shape.fleet, stack, shape.name)


def test_a_rollout_waits_until_its_new_machine_is_up_to_date(stack: Stack, shapes: tuple[Shape, ...]) -> None:
    """Without the manager no condition reports the trust of the new machine, and the old machine stays."""
    _, web = shapes
    before, kubectl = web.uids, web.fleet.supervisor
    names = [entry["name"] for entry in web.status["desired"]["entries"]]
    gates = [{"conditionType": GATE}]
    patch = {"spec": {"template": {"spec": {"readinessGates": gates}}}}
    kubectl.run("patch", "machinedeployment", "web-md-0", "--type=merge", "-p", json.dumps(patch))

    def is_gated() -> tuple[bool, str]:
        found = [machine["spec"].get("readinessGates") for machine in workers(web.fleet, web.name)]
        return found == [gates], str(found)

    web.fleet.story.wait_until("the Machine has the gate", is_gated, seconds=60)
    assert web.uids == before
    (manager,) = [part["pid"] for part in running_parts(stack) if part["name"] == "manager"]
    os.kill(int(manager), signal.SIGKILL)
    try:
        replace_workers(web)
        web.fleet.story.wait_until("the new Machine waits", lambda: is_waiting(web), seconds=300)
    finally:
        up(stack)
    wait_replaced(web, before, left=1)
    web.wait(*names)


def is_waiting(web: Shape) -> tuple[bool, str]:
    """Return whether the new node is ready, its Machine is not, and the old Machine is not being deleted."""
    machines = workers(web.fleet, web.name)
    states = [
        [condition(machine["status"], type_).get("status") for type_ in ("NodeReady", "Ready")] for machine in machines
    ]
    deleted = [name_of(machine) for machine in machines if "deletionTimestamp" in machine["metadata"]]
    return states == [["True", "True"], ["True", "Unknown"]] and not deleted, f"{states} {deleted}"


def replace_workers(web: Shape) -> None:
    """Ask Cluster API to replace the workers of `web`."""
    after = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    patch = {"spec": {"rollout": {"after": after}}}
    web.fleet.supervisor.run("patch", "machinedeployment", "web-md-0", "--type=merge", "-p", json.dumps(patch))


def wait_replaced(shape: Shape, old: set[str], *, left: int) -> None:
    """Wait until only this number of old machines remains, and all nodes are ready."""

    def probe() -> tuple[bool, str]:
        return len(shape.uids & old) == left and len(shape.uids) == NODES, f"{len(shape.uids & old)} old ones are left"

    shape.fleet.story.wait_until(f"machines of {shape.name} were replaced", probe, seconds=400)
    shape.wait_nodes()


def test_without_the_key_machines_are_replaced_and_status_reports_why(
    shapes: tuple[Shape, ...], listed: dict[str, bytes], entries: dict[str, Json], page: Page
) -> None:
    _, web = shapes
    before = web.uids
    web.fleet.supervisor.run("delete", "secret", "web-ssh")

    def probe() -> tuple[bool, str]:
        process = page.run("trustplane status web -n team-b")
        text = " ".join(process.stdout.split())
        return (
            "Machines are replaced, because Secret <cluster>-ssh with the SSH key does not exist" in text,
            text,
        )

    web.fleet.story.wait_until("status says that machines are replaced", probe, seconds=120)
    web.asks("web-other", listed, [entries["corp"], entries["apps"]])
    wait_replaced(web, before, left=0)

    def is_current() -> tuple[bool, str]:
        status = web.status
        return condition(status, "Current")["status"] == "True", json.dumps(status.get("conditions"))

    web.fleet.story.wait_until("web has what it asks for", is_current, seconds=60)
    applied = [json.loads(machine["metadata"]["annotations"][APPLIED]) for machine in web.machines]
    assert [(one["method"], one["digest"]) for one in applied] == [("Bootstrap", web.in_force)] * NODES
