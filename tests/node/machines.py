"""The Machines of a cluster in a real API server, whose addresses lead to one real node, and a manager's writer."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import yaml

from trustplane.api.annotations import CLUSTER_NAME_LABEL, TRUST_DIGEST
from trustplane.api.clustertrust import AppliedTrust, UpdateError
from trustplane.api.configuration import TrustedCA
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi.machine_facts import node_facts
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTERS, MACHINES, NODES, SECRETS
from trustplane.nodes.hostkey import REPORTED
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.rollout.execution import trust_secrets
from trustplane.rollout.execution.node_write import NodeWriter
from trustplane.trust import entries, recorded
from trustplane.trust.entries import TrustSet

CLUSTER = "shop"
_INFRASTRUCTURE = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": "local"}


class Writer(NodeWriter):
    """A manager's writer, which announces each finished write."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, self._note)
        self._done = asyncio.Event()

    def _note(self, _cluster: Key, _after: float) -> None:
        self._done.set()

    async def idle(self, cluster: Key) -> None:
        """Wait until no write of a cluster is in progress."""
        async with asyncio.timeout(90):
            while self.machines_writing(cluster):
                self._done.clear()
                await self._done.wait()


class Machines:
    """Plays Cluster API and the manager's decisions: a cluster takes a set, which must be written.

    Args:
        client: To the management cluster.
        namespace: Of the cluster.
        node: The real node, of the fixture of that name.
        kubeconfig: Of the API server, which plays the workload cluster, too; with nothing in files.
    """

    def __init__(self, client: Client, namespace: str, node: Any, kubeconfig: Json) -> None:
        self.client = client
        self.namespace = namespace
        self.node = node
        self._kubeconfig = kubeconfig
        self.key = Key(namespace, CLUSTER)

    @contextlib.asynccontextmanager
    async def writer(self) -> AsyncIterator[Writer]:
        """Run a manager during the block; at its end, or when it is killed, its writes are interrupted."""
        writer = Writer(self.client)
        try:
            yield writer
        finally:
            await writer.close()

    async def make(self, *names: str) -> None:
        """Create the cluster with these machines."""
        topology = {"classRef": {"name": "any"}, "version": "v1.36.3"}
        metadata = {"name": CLUSTER, "namespace": self.namespace}
        await self.client.create(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}})
        key = base64.b64encode(self.node.private_key.encode()).decode()
        await self._secret(f"{CLUSTER}-ssh", {"ssh-privatekey": key})
        parts = urlsplit(self._kubeconfig["clusters"][0]["cluster"]["server"])
        endpoint = {"host": parts.hostname, "port": parts.port}
        body = {"spec": {"controlPlaneEndpoint": endpoint}}
        await self.client.patch(CLUSTERS, CLUSTER, self.namespace, body)
        value = base64.b64encode(yaml.safe_dump(self._kubeconfig).encode()).decode()
        await self._secret(f"{CLUSTER}-kubeconfig", {"value": value})
        for name in names:
            await self._make_machine(name)

    async def _secret(self, name: str, data: dict[str, str]) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        await self.client.create(SECRETS, {"metadata": metadata, "data": data})

    async def say_host_keys(self, name: str) -> None:
        """Report a node's host keys, as its unit does when it has joined."""
        keys = ",".join(self.node.sh("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_*_key.pub").splitlines())
        body = {"metadata": {"name": name, "annotations": {REPORTED: keys}}}
        await self.client.apply(NODES, body, manager="kubelet", force=True)

    async def remove_nodes(self) -> None:
        """Remove the Nodes, which have no namespace."""
        for machine in await self.client.list(MACHINES, self.namespace):
            await self.client.delete(NODES, machine.metadata.name)

    async def _make_machine(self, name: str) -> None:
        metadata = {"name": name, "namespace": self.namespace, "labels": {CLUSTER_NAME_LABEL: CLUSTER}}
        spec = {"clusterName": CLUSTER, "bootstrap": {"dataSecretName": name}, "infrastructureRef": _INFRASTRUCTURE}
        await self.client.create(MACHINES, {"metadata": metadata, "spec": spec})
        await self.say_host_keys(name)
        status = {"status": {"nodeRef": {"name": name}}}
        await self.client.patch(MACHINES, name, self.namespace, status, subresource="status")
        await self.move(name, self.node.address)

    async def move(self, name: str, address: str) -> None:
        """Report an address, as the infrastructure provider does."""
        status: Json = {"addresses": [{"type": "InternalIP", "address": address}]}
        await self.client.patch(MACHINES, name, self.namespace, {"status": status}, subresource="status")

    async def take(self, *names: str, hosts: dict[str, tuple[str, ...]] | None = None, **pems: str) -> TrustSet:
        """Take a set: CAs of the node's fixture by name, and others by keyword."""
        wanted = {name: self.node.pems[name] for name in names} | pems
        listed = [TrustedCA(name=name, data=base64.b64encode(pem.encode()).decode()) for name, pem in wanted.items()]
        trust = entries.parse_list(listed).trust.with_scopes(hosts or {})
        body = {"metadata": {"annotations": {TRUST_DIGEST: trust.digest}}}
        cluster = await self.client.patch(CLUSTERS, CLUSTER, self.namespace, body)
        await trust_secrets.ensure_set_secret(self.client, cluster, trust)
        return trust

    async def begin(self, writer: Writer, name: str, trust: TrustSet) -> None:
        """Start a write to a machine."""
        machine = await self.client.get(MACHINES, name, self.namespace)
        sets = TrustSets(digest=trust.digest, in_force=trust, desired=trust, source="Service")
        writer.start(self.key, machine, node_facts(machine), sets)

    async def write(self, writer: Writer, name: str, trust: TrustSet) -> None:
        """Write a set to a machine, or fail."""
        await self.begin(writer, name, trust)
        await writer.idle(self.key)

    async def facts(self, name: str) -> NodeFacts:
        """Return the known facts about a machine's node."""
        return node_facts(await self.client.get(MACHINES, name, self.namespace))

    async def applied(self, name: str) -> AppliedTrust | None:
        """Return the record of a machine; None without one."""
        machine = await self.client.get(MACHINES, name, self.namespace)
        return recorded.read_applied_trust(machine.metadata.annotations)

    async def update_error(self, name: str) -> UpdateError | None:
        """Return why the last write to a machine failed; None if it succeeded."""
        machine = await self.client.get(MACHINES, name, self.namespace)
        return recorded.read_update_error(machine.metadata.annotations)
