"""Cluster API played for one cluster, with nodes that are directories behind SSH servers.

A machine boots with what Secret `<cluster>-trust` has when it is made, by the very script that bootstrap runs. It is
replaced when `rollout.after` of its group changes, and never else.
"""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
from tests.apiserver.controllers.conftest import KUBERNETES, Supervisor

from trustplane.api.annotations import CLUSTER_NAME_LABEL, CONTROL_PLANE_LABEL, DEPLOYMENT_NAME_LABEL
from trustplane.api.clusterapi import Cluster
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import bootstrap, secret
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.kinds import CLUSTERS, CONTROL_PLANES, MACHINE_DEPLOYMENTS, MACHINES, NODES, SECRETS
from trustplane.kube.manager import Manager
from trustplane.nodes import ssh
from trustplane.nodes.hostkey import REPORTED

INFRASTRUCTURE = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": "local"}
TEMPLATE = {**INFRASTRUCTURE, "kind": "LocalMachineTemplate"}
SYSTEMD = """
systemctl() {
    case "$*" in
    "show -p InvocationID --value containerd") cat /etc/run ;;
    show*)
        printf 'ActiveState=active\\nInvocationID=%s\\nExecMainStartTimestamp=%s\\n\\nActiveState=active\\n' \\
            "$(cat /etc/run)" "$(cat /etc/started)" ;;
    "restart containerd") echo "$$" >/etc/run; date >/etc/started ;;
    esac
}
"""


class Node:
    """A node whose root is a directory: `trust.sh` runs there, as it is.

    Attributes:
        address: Where it answers, on a port of its own.
        writes: How often something was written.
    """

    def __init__(self, root: Path, address: str = "127.0.0.1") -> None:
        self._root = root
        self.address = address
        self._server: asyncssh.SSHAcceptor | None = None
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self.writes = 0
        for one in ("ssl/certs", "containerd/certs.d", "trustplane"):
            (root / "etc" / one).mkdir(parents=True)
        (root / "etc/run").write_text("1")
        (root / "etc/started").write_text("2026-01-01T00:00:00Z")

    @property
    def trusted(self) -> set[str]:
        """Names of the entries that are there."""
        found = (self._root / "etc/ssl/certs").glob("tkg-*.pem")
        return {one.name.removeprefix("tkg-").removesuffix(".pem") for one in found}

    @property
    def host_key(self) -> str:
        """The public key of its SSH server."""
        return " ".join(self._host_key.export_public_key().decode().split()[:2])

    async def boot(self, text: str) -> None:
        """Unpack what it boots with."""
        (self._root / bootstrap.BUNDLE_FILE.removeprefix("/")).write_text(text)
        await self._shell(bootstrap.UNPACK_SCRIPT.replace("${TRUSTPLANE_ROOT:-/}", str(self._root)))

    async def start(self) -> None:
        """Answer from now on."""
        self._server = await asyncssh.listen(
            self.address, self.port, server_factory=_Open, server_host_keys=[self._host_key], process_factory=self._run
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def rekey(self) -> None:
        """Answer with another host key, as another machine at its address does."""
        await self.stop()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        await self.start()

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        script = await process.stdin.read()
        self.writes += "main apply" in script
        out, err, status = await self._shell(
            script.replace("/etc/", f"{self._root}/etc/").replace("/run/", f"{self._root}/run/")
        )
        process.stdout.write("\n".join(self._rooted(line) for line in out.split("\n")))
        process.stderr.write(err)
        process.exit(status)

    def _rooted(self, line: str) -> str:
        """Return a line of a report with paths as on a node of its own; those of the marker are encoded."""
        verb, _, value = line.partition(" ")
        if verb == "marker":
            text = base64.b64decode(value).decode().replace(f"{self._root}/", "/")
            return f"{verb} {base64.b64encode(text.encode()).decode()}"
        return line.replace(f"{self._root}/", "/")

    async def _shell(self, script: str) -> tuple[str, str, int]:
        systemd = SYSTEMD.replace("/etc/", f"{self._root}/etc/")
        shell = await asyncio.create_subprocess_exec("sh", "-s", stdin=-1, stdout=-1, stderr=-1)
        out, err = await shell.communicate((systemd + script).encode())
        return out.decode(), err.decode(), shell.returncode or 0


class _Open(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return not username


class Nodes:
    """The nodes of a test by name, each with an address of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hosts: Iterator[int] = itertools.count(2)
        self._by_name: dict[str, Node] = {}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    async def make(self, name: str, text: str) -> Node:
        """Make a node that boots with that text of a boot set."""
        node = self._by_name[name] = Node(self._folder / name, f"127.0.0.{next(self._hosts)}")
        await node.boot(text)
        await node.start()
        return node

    async def remove(self, name: str) -> None:
        """End a node for good."""
        await self._by_name.pop(name).stop()

    def connect(self, connect: Callable[..., Any] = ssh.connect) -> Callable[..., Any]:
        """Return `ssh.connect` for nodes whose SSH servers need no privileged port."""

        def routed(address: str, private_key: str, **named: Any) -> Any:
            ports = {one.address: one.port for one in self._by_name.values()}
            return connect(address, private_key, port=ports.get(address, 1), **named)

        return routed

    async def close(self) -> None:
        """End all nodes."""
        for name in list(self):
            await self.remove(name)


class ClusterAPI:
    """Cluster API for one cluster.

    Args:
        supervisor: Of its namespace.
        name: Of the cluster.
        nodes: Of the test.
        control_plane: Number of its machines.
        workers: Number of machines in its pool.

    Attributes:
        replaced: Names of the machines that were replaced, in that order.
    """

    def __init__(
        self, supervisor: Supervisor, name: str, nodes: Nodes, *, control_plane: int = 1, workers: int = 2
    ) -> None:
        self.client, self.namespace, self.name = supervisor.client, supervisor.namespace, name
        self.nodes = nodes
        self.replaced: list[str] = []
        self._supervisor = supervisor
        self._sizes = {"cp": control_plane, "np": workers}
        self._counts = {group: itertools.count() for group in self._sizes}
        self._made_after: dict[str, Any] = {}  # by machine: `rollout.after` of its group when it was made

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work within the block."""
        manager, stop = Manager(self.client), asyncio.Event()
        watches: list[Watch[Any]] = [
            Watch(manager.informer(one, namespace=self.namespace), lambda _: [Key(self.namespace, self.name)])
            for one in (CLUSTERS, CONTROL_PLANES, MACHINE_DEPLOYMENTS, MACHINES, SECRETS)
        ]
        manager.add(Controller("clusterapi", self._reconcile, watches))
        task = asyncio.create_task(manager.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task
            for name in self._made_after:
                await self.client.delete(NODES, name)

    def machines(self, group: str) -> list[str]:
        """Return the names of the machines of the control plane, `cp`, or of the pool, `np`."""
        return sorted(one for one in self._made_after if one.startswith(f"{self.name}-{group}-"))

    async def _reconcile(self, key: Key) -> Result:
        cluster = await self.client.find(CLUSTERS, self.name, self.namespace)
        if cluster is None or key != Key(self.namespace, self.name):
            return Result()
        afters = await self._topology(cluster)
        for group, size in self._sizes.items():
            await self._scale(group, size, afters[group], cluster)
        if not any(one.observed_generation >= cluster.metadata.generation for one in cluster.status.conditions):
            await self._supervisor._report(cluster)
        return Result()

    async def _topology(self, cluster: Cluster) -> dict[str, Any]:
        """Write the control plane and the pool that the Cluster asks for; return their `rollout.after`."""
        labels = {CLUSTER_NAME_LABEL: self.name}
        control_plane = {
            "metadata": {"name": f"{self.name}-cp", "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": self._sizes["cp"],
                "version": cluster.spec.topology.version or KUBERNETES,
                "kubeadmConfigSpec": {"preKubeadmCommands": [bootstrap.UNPACK_COMMAND]},
                "machineTemplate": {"spec": {"infrastructureRef": TEMPLATE}},
            },
        }
        pool_labels = labels | {DEPLOYMENT_NAME_LABEL: "np"}
        template = {
            "metadata": {"labels": pool_labels},
            "spec": {"clusterName": self.name, "bootstrap": {"dataSecretName": "x"}, "infrastructureRef": TEMPLATE},
        }
        pool = {
            "metadata": {"name": f"{self.name}-np", "namespace": self.namespace, "labels": pool_labels},
            "spec": {
                "clusterName": self.name,
                "replicas": self._sizes["np"],
                "selector": {"matchLabels": pool_labels},
                "template": template,
            },
        }
        found = {
            "cp": await self.client.apply(CONTROL_PLANES, control_plane, manager="capi-topology"),
            "np": await self.client.apply(MACHINE_DEPLOYMENTS, pool, manager="capi-topology"),
        }
        return {group: one.spec.rollout.after for group, one in found.items()}

    async def _scale(self, group: str, size: int, after: Any, cluster: Cluster) -> None:
        """Have so many machines, all made since the group was last asked to replace them; one changes at a time."""
        for name in self.machines(group):
            if await self.client.find(MACHINES, name, self.namespace) is None:
                await self._forget(name)
        old = [one for one in self.machines(group) if self._made_after[one] != after]
        if old:
            self.replaced.append(old[0])
            await self.client.delete(MACHINES, old[0], self.namespace)
            await self._forget(old[0])
        while len(self.machines(group)) < size and await self._make(group, after, cluster):
            pass

    async def _forget(self, name: str) -> None:
        del self._made_after[name]
        await self.client.delete(NODES, name)
        await self.nodes.remove(name)

    async def _make(self, group: str, after: Any, cluster: Cluster) -> bool:
        """Make a machine; without what it boots with there is none."""
        boot = await self.client.find(SECRETS, secret.boot_secret_name(self.name), self.namespace)
        if boot is None or cluster.metadata.deletion_timestamp:
            return False
        name, text = f"{self.name}-{group}-{next(self._counts[group])}", base64.b64decode(boot.data["bundle.pem"])
        self._made_after[name] = after
        node = await self.nodes.make(name, text.decode())
        annotations = {REPORTED: f"{node.host_key},"}  # as its unit says
        metadata = {"name": name, "annotations": annotations}
        await self.client.apply(NODES, {"metadata": metadata}, manager="kubelet", force=True)
        await self._supervisor.bootstrap(name, text.decode())
        kind = {CONTROL_PLANE_LABEL: ""} if group == "cp" else {DEPLOYMENT_NAME_LABEL: "np"}
        spec: Json = {
            "clusterName": self.name,
            "version": cluster.spec.topology.version or KUBERNETES,
            "bootstrap": {"dataSecretName": name},
            "infrastructureRef": INFRASTRUCTURE,
        }
        metadata = {"name": name, "namespace": self.namespace, "labels": {CLUSTER_NAME_LABEL: self.name, **kind}}
        await self.client.create(MACHINES, {"metadata": metadata, "spec": spec})
        status = {"nodeRef": {"name": name}, "addresses": [{"type": "InternalIP", "address": node.address}]}
        await self.client.patch(MACHINES, name, self.namespace, {"status": status}, subresource="status")
        return True
