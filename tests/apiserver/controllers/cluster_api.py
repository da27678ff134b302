"""Cluster API played for a cluster of one control plane machine and one worker, and the node of the former."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
from tests.apiserver.controllers.conftest import KUBERNETES, Supervisor

from trustplane.api.annotations import CLUSTER_NAME_LABEL, CONTROL_PLANE_LABEL, DEPLOYMENT_NAME_LABEL, PAUSED
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import TRUST_APPLIED
from trustplane.api.meta import Json
from trustplane.controllers.resources import CLUSTERS, MACHINE_DEPLOYMENTS
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.manager import Manager
from trustplane.kube.resource import Key
from trustplane.machines.resources import CONTROL_PLANES, KUBEADM_CONFIGS, MACHINES

MANAGER = "capi-kubeadmcontrolplane"
OTHER = {"path": "/etc/other", "owner": "root:root", "permissions": "0644", "content": "x"}
INFRASTRUCTURE = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": "local"}
TEMPLATE = {**INFRASTRUCTURE, "kind": "LocalMachineTemplate"}
_COUNTS = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "upToDateReplicas"), 1)
SYSTEMD = """
systemctl() {
    case "$*" in
    *ActiveState*) echo active ;;
    *InvocationID*) cat /etc/run ;;
    *ExecMainStartTimestamp*) cat /etc/started ;;
    "restart containerd") echo "$$" >/etc/run; date >/etc/started ;;
    esac
}
"""


def files_of(value: Json | None) -> list[Json]:
    """Return a machine's files for a value of the variable `trust`: one of somebody else, and those of the set."""
    names = [one["name"] for one in (value or {}).get("additionalTrustedCAs", [])]
    return [OTHER, *(_file(str((value or {}).get("secretName", "")), name) for name in names)]


def _file(secret: str, name: str) -> Json:
    return {
        "path": f"/etc/ssl/certs/tkg-{name}.pem",
        "owner": "root:root",
        "permissions": "0644",
        "contentFrom": {"secret": {"name": secret, "key": f"{name}.pem"}},
    }


class Node:
    """A node whose root is a directory: `trust.sh` runs there, as it is.

    Attributes:
        is_on: Whether it answers.
        writes: How often something was written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._server: asyncssh.SSHAcceptor | None = None
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self.writes = 0
        for one in ("ssl/certs", "containerd/certs.d"):
            (root / "etc" / one).mkdir(parents=True)
        (root / "etc/run").write_text("1")
        (root / "etc/started").write_text("2026-01-01T00:00:00Z")

    @property
    def trusted(self) -> set[str]:
        """Names of the entries that are there."""
        found = (self._root / "etc/ssl/certs").glob("tkg-*.pem")
        return {one.name.removeprefix("tkg-").removesuffix(".pem") for one in found}

    async def start(self) -> None:
        """Answer from now on."""
        self._server = await asyncssh.listen(
            "127.0.0.1", self.port, server_factory=_Open, server_host_keys=[self._host_key], process_factory=self._run
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        script = await process.stdin.read()
        self.writes += "main apply" in script
        script = (SYSTEMD + script).replace("/etc/", f"{self._root}/etc/").replace("/run/", f"{self._root}/run/")
        shell = await asyncio.create_subprocess_exec("sh", "-s", stdin=-1, stdout=-1, stderr=-1)
        out, err = await shell.communicate(script.encode())
        process.stdout.write(out.decode().replace(f"{self._root}/", "/"))
        process.stderr.write(err.decode())
        process.exit(shell.returncode or 0)


class _Open(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return not username


class ClusterAPI:
    """Writes the control plane that the Cluster asks for, and replaces machines that differ, unless it is paused.

    Attributes:
        replaced: Names of the machines that were replaced.
        are_workers_held: Whether the worker stays as it is for now.
    """

    def __init__(self, supervisor: Supervisor, name: str) -> None:
        self.client, self.namespace, self.name = supervisor.client, supervisor.namespace, name
        self.replaced: list[str] = []
        self.are_workers_held = False
        self._supervisor = supervisor
        self._labels = {CLUSTER_NAME_LABEL: name}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work within the block."""
        manager, stop = Manager(self.client), asyncio.Event()
        watches: list[Watch[Any]] = [
            Watch(manager.informer(one, namespace=self.namespace), lambda _: [Key(self.namespace, self.name)])
            for one in (CLUSTERS, CONTROL_PLANES, MACHINES)
        ]
        manager.add(Controller("clusterapi", self._reconcile, watches))
        task = asyncio.create_task(manager.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _reconcile(self, key: Key) -> Result:
        cluster = await self.client.find(CLUSTERS, self.name, self.namespace)
        if cluster is None or key != Key(self.namespace, self.name):
            return Result()
        await self._topology(cluster)
        await self._control_plane()
        return Result()

    async def _topology(self, cluster: Cluster) -> None:
        of_all = cluster.variable("trust")
        control_plane = {
            "metadata": {"name": f"{self.name}-cp", "namespace": self.namespace, "labels": self._labels},
            "spec": {
                "replicas": 1,
                "version": KUBERNETES,
                "kubeadmConfigSpec": {"files": files_of(cluster.control_plane_override("trust") or of_all)},
                "machineTemplate": {"spec": {"infrastructureRef": TEMPLATE}},
            },
        }
        await self.client.apply(CONTROL_PLANES, control_plane, manager="capi-topology")
        await self._pool(cluster, of_all)
        if not any(one.observed_generation >= cluster.metadata.generation for one in cluster.status.conditions):
            await self._supervisor._report(cluster)

    async def _pool(self, cluster: Cluster, trust: Json | None) -> None:
        labels = {**self._labels, DEPLOYMENT_NAME_LABEL: "np"}
        await self._machine(f"{self.name}-w", labels)
        config = await self.client.find(KUBEADM_CONFIGS, f"{self.name}-w", self.namespace)
        if config is None or (not self.are_workers_held and config["spec"]["files"] != files_of(trust)):
            await self._configure(f"{self.name}-w", files_of(trust))
            applied = {"digest": cluster.metadata.annotations["trustplane.dev/trust-digest"], "at": _now()}
            await self._annotate(f"{self.name}-w", {TRUST_APPLIED: json.dumps(applied)})
        template = {
            "metadata": {"labels": labels},
            "spec": {"clusterName": self.name, "bootstrap": {"dataSecretName": "x"}, "infrastructureRef": TEMPLATE},
        }
        spec = {"clusterName": self.name, "replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": f"{self.name}-np", "namespace": self.namespace, "labels": labels}
        found = await self.client.apply(MACHINE_DEPLOYMENTS, {"metadata": metadata, "spec": spec}, manager="capi")
        status = {"observedGeneration": found.metadata.generation, **_COUNTS}
        await self.client.patch(
            MACHINE_DEPLOYMENTS, f"{self.name}-np", self.namespace, {"status": status}, subresource="status"
        )

    async def _control_plane(self) -> None:
        found = await self.client.get(CONTROL_PLANES, f"{self.name}-cp", self.namespace)
        before = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", [])}
        is_paused = PAUSED in (found["metadata"].get("annotations") or {})
        if before.get("Paused") != str(is_paused):
            condition = {
                "type": "Paused",
                "status": str(is_paused),
                "reason": "Paused" if is_paused else "NotPaused",
                "message": "",
                # Nobody has to wait for the rest after a pause.
                "lastTransitionTime": _now() if is_paused else "2026-01-01T00:00:00Z",
            }
            await self._status({"conditions": [condition]})
        elif not is_paused:
            await self._make_or_replace(f"{self.name}-cp-0", found["spec"]["kubeadmConfigSpec"]["files"])
            await self._status({"observedGeneration": found["metadata"]["generation"], **_COUNTS})

    async def _make_or_replace(self, name: str, files: list[Json]) -> None:
        await self._machine(name, {**self._labels, CONTROL_PLANE_LABEL: ""})
        config = await self.client.find(KUBEADM_CONFIGS, name, self.namespace)
        if config is not None and config["spec"].get("files") != files:
            self.replaced.append(name)
        if config is None or config["spec"].get("files") != files:
            await self._configure(name, files)

    async def _machine(self, name: str, labels: dict[str, str]) -> None:
        if await self.client.find(MACHINES, name, self.namespace):
            return
        reference = {"apiGroup": KUBEADM_CONFIGS.group, "kind": "KubeadmConfig", "name": name}
        spec = {
            "clusterName": self.name,
            "version": KUBERNETES,
            "bootstrap": {"configRef": reference, "dataSecretName": name},
            "infrastructureRef": INFRASTRUCTURE,
        }
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        await self.client.create(MACHINES, {"metadata": metadata, "spec": spec})
        status = {"nodeRef": {"name": name}, "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
        await self.client.patch(MACHINES, name, self.namespace, {"status": status}, subresource="status")

    async def _configure(self, name: str, files: list[Json]) -> None:
        metadata = {"name": name, "namespace": self.namespace, "labels": self._labels}
        await self.client.apply(KUBEADM_CONFIGS, {"metadata": metadata, "spec": {"files": files}}, manager=MANAGER)

    async def _annotate(self, name: str, annotations: dict[str, str]) -> None:
        await self.client.patch(MACHINES, name, self.namespace, {"metadata": {"annotations": annotations}})

    async def _status(self, status: Json) -> None:
        await self.client.patch(
            CONTROL_PLANES, f"{self.name}-cp", self.namespace, {"status": status}, subresource="status"
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
