"""Machines of one cluster in a real API server, whose addresses lead to one real node, and what Cluster API asks."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from trustplane.api.annotations import CLUSTER_NAME_LABEL, TRUST_CANARY, TRUST_DIGEST, UPDATE_IN_PROGRESS
from trustplane.api.clustertrust import (
    MAX_MESSAGE,
    TRUST_APPLIED,
    TRUST_INSPECTION,
    TRUST_PROOF,
    AppliedTrust,
    Inspection,
    ProofResult,
    RecordedProof,
)
from trustplane.api.configuration import TrustedCA
from trustplane.api.meta import Json
from trustplane.clusterapi.secret import name_of
from trustplane.kube.client import Client
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import EVENTS, SECRETS
from trustplane.machines.resources import CLUSTERS, KUBEADM_CONFIGS, MACHINES
from trustplane.nodes import registries, registry_report, ssh
from trustplane.proof import verdict
from trustplane.server.inplace import InPlace
from trustplane.trust import entries
from trustplane.trust.entries import TrustSet

CLUSTER = "shop"
WRITING = "Trust is being written on the node"
_INFRASTRUCTURE = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": "local"}


class Machines:
    """Plays the manager, which takes a set, Cluster API, which has machines updated, and the kubelet, which proves.

    Args:
        client: To the management cluster.
        namespace: Of the cluster.
        node: The real node, of the fixture of that name.
    """

    def __init__(self, client: Client, namespace: str, node: Any) -> None:
        self.client = client
        self.namespace = namespace
        self.node = node
        self.digest = ""

    async def make(self, *names: str) -> None:
        """Make the cluster with machines that were made with CA `boot`."""
        topology = {"classRef": {"name": "any"}, "version": "v1.36.3"}
        labels = {"test": self.namespace}
        metadata = {"name": CLUSTER, "namespace": self.namespace, "labels": labels}
        await self.client.create(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}})
        await self._secret(f"{CLUSTER}-ssh", {"ssh-privatekey": self.node.private_key.encode()})
        await self._secret("bootstrap", {"value": self.node.user_data})
        for name in names:
            await self._make_machine(name)

    async def _secret(self, name: str, data: dict[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"metadata": {"name": name, "namespace": self.namespace}, "data": encoded}
        await self.client.apply(SECRETS, body, manager="test")

    async def _make_machine(self, name: str) -> None:
        metadata = {"name": name, "namespace": self.namespace, "labels": {CLUSTER_NAME_LABEL: CLUSTER}}
        bootstrap = {"dataSecretName": "bootstrap"}
        spec = {"clusterName": CLUSTER, "bootstrap": bootstrap, "infrastructureRef": _INFRASTRUCTURE}
        await self.client.create(MACHINES, {"metadata": metadata, "spec": spec})
        await self.move(name, self.node.address)
        await self.report_node(name, "True")

    async def move(self, name: str, address: str) -> None:
        """Have the infrastructure provider report that address."""
        await self._status(name, {"addresses": [{"type": "InternalIP", "address": address}]})

    async def report_node(self, name: str, ready: str) -> None:
        """Have Cluster API report whether the Node is ready."""
        told = {"reason": "NodeReady", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        one = {"type": "NodeReady", "status": ready, **told}
        await self._status(name, {"conditions": [one]})

    async def _status(self, name: str, status: Json) -> None:
        await self.client.patch(MACHINES, name, self.namespace, {"status": status}, subresource="status")

    async def take(self, *names: str, **pems: str) -> TrustSet:
        """Take a set: CAs of the node's fixture by name, and others by keyword. All machines are to get it."""
        wanted = {name: self.node.pems[name] for name in names} | pems
        listed = [TrustedCA(name=name, data=base64.b64encode(pem.encode()).decode()) for name, pem in wanted.items()]
        trust = entries.read(listed).trust
        await self._secret(
            name_of(CLUSTER, trust.digest), {f"{name}.pem": pem.encode() for name, pem in wanted.items()}
        )
        await self._annotate(CLUSTERS, CLUSTER, {TRUST_DIGEST: trust.digest})
        for machine in await self.client.list(MACHINES, self.namespace):
            await self._annotate(MACHINES, machine["metadata"]["name"], {UPDATE_IN_PROGRESS: ""})
        self.digest = trust.digest
        return trust

    async def _annotate(self, resource: Any, name: str, annotations: dict[str, str]) -> None:
        await self.client.patch(resource, name, self.namespace, {"metadata": {"annotations": annotations}})

    async def request(self, name: str, trust: TrustSet) -> Json:
        """Return the UpdateMachineRequest with which Cluster API asks for that set on a machine."""
        machine = await self.client.get(MACHINES, name, self.namespace)
        machine.pop("status")
        config: Json = {"kind": "KubeadmConfig", "metadata": {"name": name}, "spec": self._spec(trust)}
        return {"desired": {"machine": machine, "bootstrapConfig": config}}

    async def configure(self, name: str, trust: TrustSet) -> None:
        """Have Cluster API begin the update of a machine to that set: its KubeadmConfig names it."""
        metadata = {"name": name, "namespace": self.namespace}
        await self.client.apply(
            KUBEADM_CONFIGS, {"metadata": metadata, "spec": self._spec(trust)}, manager="test", force=True
        )

    def _spec(self, trust: TrustSet) -> Json:
        secret = name_of(CLUSTER, trust.digest)
        files = [
            {
                "path": f"/etc/ssl/certs/tkg-{entry}.pem",
                "owner": "root:root",
                "permissions": "0644",
                "contentFrom": {"secret": {"name": secret, "key": f"{entry}.pem"}},
            }
            for entry in trust.names
        ]
        return {"files": files} if files else {}

    async def ask(self, in_place: InPlace, name: str, trust: TrustSet) -> Json:
        """Call UpdateMachine once."""
        return await in_place.update_machine(await self.request(name, trust))

    async def update(self, in_place: InPlace, name: str, trust: TrustSet) -> None:
        """Call UpdateMachine as Cluster API does, until it is done; afterwards the machine is no longer updating."""
        while not is_done(answer := await self.ask(in_place, name, trust)):
            assert answer["message"] == WRITING, answer
        await self._annotate(MACHINES, name, {UPDATE_IN_PROGRESS: None})  # type: ignore[dict-item]

    async def prove(self, name: str, registry: str) -> None:
        """Have the node pull, and look at it; record on that machine what both say, as the manager does."""
        host = f"{registry}.test:{5001 if registry == 'one' else 5002}"
        asked_at, words = datetime.now(UTC), self.node.pull(registry)
        found = type(verdict.verdict(words, host)).__name__
        result = ProofResult(registry=host, verdict=found, message=words.strip()[-MAX_MESSAGE:])
        proof = RecordedProof(digest=self.digest, at=asked_at, results=[result])
        async with ssh.connect(self.node.address, self.node.private_key) as shell:
            reached = registries.access(await registry_report.read(shell, {host}), host)
        look = Inspection(digest=self.digest, at=datetime.now(UTC), registries=[reached])
        values = {TRUST_PROOF: proof, TRUST_INSPECTION: look}
        await self._annotate(
            MACHINES, name, {key: msgspec.json.encode(value).decode() for key, value in values.items()}
        )

    async def forget_look(self, name: str) -> None:
        """Have a machine as it is when its kubelet has answered, and nobody has looked at its node yet."""
        await self._annotate(MACHINES, name, {TRUST_INSPECTION: None})  # type: ignore[dict-item]

    async def applied(self, name: str) -> AppliedTrust | None:
        """Return what is recorded on a machine; None where nothing is."""
        text = await self._annotation(MACHINES, name, TRUST_APPLIED)
        return msgspec.json.decode(text, type=AppliedTrust) if text else None

    async def canary(self) -> str:
        """Return the name of the machine that was elected; empty where none was."""
        text = await self._annotation(CLUSTERS, CLUSTER, TRUST_CANARY)
        return str(json.loads(text)["machine"]) if text else ""

    async def _annotation(self, resource: Any, name: str, key: str) -> str:
        found: Json = await self.client.get(resource, name, self.namespace)
        return str(found["metadata"].get("annotations", {}).get(key, ""))

    async def told(self, name: str) -> list[str]:
        """Return the warnings about a machine."""
        events = await self.client.list(EVENTS, self.namespace, fields=f"regarding.name={name},type=Warning")
        return [f"{one['reason']}: {one['note']}" for one in events]


def is_done(answer: Json) -> bool:
    """Tell whether an answer of UpdateMachine says that the machine is as desired."""
    assert answer["status"] == "Success", answer
    return bool(answer["retryAfterSeconds"] == 0)


def extension(client: Client) -> InPlace:
    """Return the hooks of one replica of the extension."""
    return InPlace(client, Recorder(client, "trustplane.dev/extension"))
