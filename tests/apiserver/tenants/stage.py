"""Two tenants of one management cluster: `tenant-a`, the attacker, and `tenant-b`, whose clusters must keep working.

The API server is real and uses RBAC; the manager is a real process with the rights that `deploy/` gives it.
"""

import asyncio
import base64
import contextlib
import io
import json
import signal
import ssl
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from tests.apiserver.conftest import ApiServer, Process, answers, free_port
from tests.apiserver.controllers import deployment, workload
from tests.apiserver.controllers.conftest import KUBERNETES, SYSTEM, Supervisor, entry, make_ca, until
from tests.apiserver.tenants.servers import Server
from tests.apiserver.tenants.tenancy import ATTACKER, TENANTS, VICTIM, grant, user_of
from yarl import URL

from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import PROVE_REQUESTED_AT, TRUST_PROOF, ClusterTrust
from trustplane.api.configuration import NAME
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import release
from trustplane.kube.client import Client
from trustplane.kube.errors import NotFoundError, UnreadableError
from trustplane.kube.kinds import (
    CLUSTER_TRUSTS,
    CLUSTERS,
    CONFIGURATIONS,
    LEASES,
    MACHINES,
    REGISTRIES,
    RELEASES,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.kube.resource import Resource
from trustplane.trust import bundle

ALLOWANCE = "TRUSTPLANE_ALLOW_LOCAL_CLUSTERS"
MEMORY = 700 << 20  # bytes; the limit of the manager's pod is 1 GiB
LEASE = 12.0  # seconds, a little more than a lease may be old
SECONDS = 40.0  # for the victims' clusters to be reconciled during an attack; without one it takes about one
EVENTS: Resource[Json] = Resource("events.k8s.io", "v1", "Event", "events", dict)


class ManagerProcess(Process):
    """Run `trustplane manager` with its ServiceAccount."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        super().__init__(log)
        self.port = free_port()
        self.is_local_allowed = True  # the victims' API server is on loopback
        self._kubeconfig = kubeconfig
        self.token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]

    def start(self) -> None:
        """Start, and wait until it leads."""
        program = [sys.executable, "-m", "trustplane", "manager", f"--kubeconfig={self._kubeconfig}"]
        local = f"{ALLOWANCE}={int(self.is_local_allowed)}"
        self.run(["env", local, *program, f"--health-port={self.port}"])
        self.wait(lambda: answers(f"http://127.0.0.1:{self.port}/readyz") and '"leading"' in self.log.read_text())

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self.popen
        return self.popen.pid

    @property
    def memory(self) -> int:
        """The peak of its memory in bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))

    def forget_memory(self) -> None:
        """Reset the peak."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def metric(self, name: str) -> list[str]:
        """Return the lines of a metric."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return [line for line in answer.read().decode().splitlines() if line.startswith(name)]


@dataclass
class Stage:
    """The objects for tests of attacks.

    Attributes:
        admin: An administrator's client.
        mallory: Of a user with `edit` and TanzuKubernetesClusters in `tenant-a`, and nothing elsewhere.
        oscar: The same with Cluster API's objects of that namespace.
        canary: A file that exists when a program of the attacker has run.
        stolen: A file with a token that only the manager's host has, and the token.
    """

    api: ApiServer
    admin: Client
    mallory: Client
    oscar: Client
    manager: ManagerProcess
    victim: Supervisor
    attacker: Supervisor
    kubelet: workload.Kubelet
    folder: Path
    host: str = ""
    round: int = 0
    attacks: int = 0

    @property
    def canary(self) -> Path:
        """A file that exists if a program of the attacker has run."""
        return self.folder / "canary"

    @property
    def stolen(self) -> tuple[Path, str]:
        """A file on the manager's host, and its content."""
        file = self.folder / "manager-token"
        file.write_text("MANAGER-SERVICE-ACCOUNT-TOKEN")
        return file, "MANAGER-SERVICE-ACCOUNT-TOKEN"

    async def make_victims(self) -> None:
        """Create the clusters of `tenant-b`: `shop`, whose list changes, and `web`, whose node is proven again."""
        for name in ("shop", "web"):
            await self.victim.make(name, trust=[entry("corp", CAS[0])])
            await self.victim.label(name, "test", VICTIM)
            await self.victim.trusting(name, "corp")
            await self.victim.play(name)
            await give_endpoint(self.admin, Key(VICTIM, name), self.api.port)
            await workload.make_nodes(self.victim, name, f"{name}-0", kubeconfig=inline(self.api.kubeconfig))

    async def assert_others_go_on(self) -> None:
        """Check that the same manager runs and leads, and that a change of the victims' clusters takes effect."""
        self.assert_manager_lives()
        self.round += 1
        work = asyncio.create_task(self._change_victims(f"corp{self.round % 2}"))
        while not (await asyncio.wait([work], timeout=0.5))[0]:
            if not self.manager.running:
                work.cancel()
                self.assert_manager_lives()
        await work
        await self.assert_manager_leads()

    async def assert_manager_leads(self) -> None:
        """Check that the same manager runs, and renews its lease."""
        self.assert_manager_lives()
        lease = await self.admin.get(LEASES, "trustplane-manager", SYSTEM)
        renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
        assert (datetime.now(UTC) - renewed).total_seconds() < LEASE, "the lease is not renewed"

    async def _change_victims(self, name: str) -> None:
        async with asyncio.timeout(SECONDS):
            asked = datetime.now(UTC)
            body = {"metadata": {"annotations": {PROVE_REQUESTED_AT: asked.isoformat()}}}
            await self.admin.patch(CLUSTER_TRUSTS, "web", VICTIM, body)
            await self.victim.make("shop", trust=[entry(name, CAS[self.round % 2])])
            await self.victim.trusting("shop", name, seconds=SECONDS)
            await until(self.admin, CLUSTER_TRUSTS, "shop", VICTIM, lambda one: _wants(one, name), SECONDS)
            await until(self.admin, MACHINES, "web-0", VICTIM, lambda one: _proven_at(one) >= asked, SECONDS)

    def assert_manager_lives(self) -> None:
        """Check that the manager runs with bounded memory, and that nothing was executed or read for the attacker."""
        assert self.manager.running, f"the manager ended: {self.manager.log.read_text(errors='replace')[-3000:]}"
        assert self.manager.memory < MEMORY, f"the manager had {self.manager.memory >> 20} MiB"
        assert not self.canary.exists(), "a program of the attacker was run"

    @contextlib.contextmanager
    def strict(self) -> Iterator[None]:
        """Forbid the manager to contact clusters on loopback during the block, as outside of tests."""
        self._restart(is_local_allowed=False)
        try:
            yield
        finally:
            self._restart(is_local_allowed=True)

    def _restart(self, *, is_local_allowed: bool) -> None:
        self.manager.signal(signal.SIGTERM)
        assert self.manager.popen
        self.manager.popen.wait(30)
        self.manager.is_local_allowed = is_local_allowed
        self.manager.log.write_text("")
        self.manager.start()

    def heal(self) -> None:
        """Restart the manager if an attack ended it: each attack is judged separately."""
        self.canary.unlink(missing_ok=True)
        if not self.manager.running:
            self.manager.log.write_text("")
            self.manager.start()
        self.manager.forget_memory()

    async def cluster(self, name: str, *, tenant: Client | None = None, port: int = 0, **labels: str) -> Cluster:
        """Do the work of a tenant and Cluster API until a cluster exists with the tenant's kubeconfig.

        Args:
            name: Of the cluster.
            tenant: Who makes it.
            port: Of the API server that Cluster API gave it.
            **labels: Of the TanzuKubernetesCluster.
        """
        by = Supervisor(tenant or self.mallory, ATTACKER)
        await by.make(name)
        for key, value in labels.items():
            await by.label(name, key, value)
        await self.attacker.cluster(name)
        await self.attacker.play(name)
        if port:
            await give_endpoint(self.admin, Key(ATTACKER, name), port)
        found = await self.attacker.cluster(name)
        text = bundle.render_bundle(await self.attacker.in_force(found), bundle.MAX_BUDGET_BYTES)
        await workload.make_machine(self.attacker, name, f"{name}-0", text)
        return await self.attacker.cluster(name)

    async def send(
        self,
        user: str,
        method: str,
        path: str,
        content: bytes,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Send any request that a hostile program can send; return status and response."""
        context = ssl.create_default_context(cafile=str(self.api._folder / "ca.crt"))
        headers = {"Authorization": f"Bearer {TENANTS[user]}", "Content-Type": kind, **(headers or {})}
        async with aiohttp.ClientSession(headers=headers) as session:
            url = URL(f"{self.api.url}{path}", encoded=True)
            async with session.request(method, url, data=io.BytesIO(content), ssl=context) as answer:
                return answer.status, await answer.text()

    async def kubeconfig(self, name: str, content: Json | str | bytes) -> None:
        """Write Secret `<name>-kubeconfig` as a tenant with `edit` can."""
        text = yaml.safe_dump(content) if isinstance(content, dict) else content
        value = base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()
        metadata = {"name": f"{name}-kubeconfig", "namespace": ATTACKER}
        await self.mallory.apply(SECRETS, {"metadata": metadata, "data": {"value": value}}, manager="mallory")

    async def shown(self, name: str) -> str:
        """Return everything about a cluster of `tenant-a` that its owner and an administrator see."""
        found: list[Any] = []
        for resource in (CLUSTER_TRUSTS, TANZU_CLUSTERS, CLUSTERS):
            document = Resource(resource.group, resource.version, resource.kind, resource.plural, dict)
            with contextlib.suppress(UnreadableError):
                one = await self.admin.find(document, name, ATTACKER)
                found.append((one or {}).get("status", {}))
        found += [one.get("note", "") for one in await self.admin.list(EVENTS, ATTACKER)]
        return json.dumps(found)

    async def registry_conditions(self) -> dict[str, str]:
        """Return the conditions of the Registry for all clusters, by type."""
        registries = await self.admin.list(REGISTRIES)
        return {condition.type: condition.status for registry in registries for condition in registry.status.conditions}

    async def until_shown(self, name: str, *words: str, seconds: float = 15) -> str:
        """Wait until one of these texts appears on a cluster of `tenant-a`."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            shown = await self.shown(name)
            if any(word.lower() in shown.lower() for word in words):
                return shown
            assert asyncio.get_running_loop().time() < deadline, f"{words} do not appear on {name}: {shown[:4000]}"
            await asyncio.sleep(0.3)

    async def until_logged(self, *words: str, seconds: float = 20) -> None:
        """Wait until one line of the manager's log has all these words."""
        async with asyncio.timeout(seconds):
            while not any(all(word in line for word in words) for line in self._log()):  # noqa: ASYNC110  a file
                await asyncio.sleep(0.2)

    def _log(self) -> list[str]:
        return self.manager.log.read_text(errors="replace").splitlines()

    async def clean(self) -> None:
        """Remove the attacker's objects, and read as little of them as possible."""
        kinds = (TANZU_CLUSTERS, CLUSTERS, MACHINES, SECRETS, CLUSTER_TRUSTS)
        for resource in kinds:
            await self.admin.raw("DELETE", resource.path(ATTACKER), most=64 << 20)
        for resource in kinds:
            for one in await self.admin.list(Resource(*_bare(resource)), ATTACKER):
                with contextlib.suppress(NotFoundError):
                    body = {"metadata": {"finalizers": None}}
                    await self.admin.patch(Resource(*_bare(resource)), one["metadata"]["name"], ATTACKER, body)


def _bare(resource: Resource[Any]) -> tuple[str, str, str, str, type[dict[str, Any]]]:
    """Return a kind with raw objects: it also lists objects spoilt by an attack."""
    return resource.group, resource.version, resource.kind, resource.plural, dict


def _wants(trust: ClusterTrust, name: str) -> bool:
    desired = trust.status.desired
    return desired is not None and [one.name for one in desired.entries] == [name]


def _proven_at(machine: Any) -> datetime:
    content = json.loads(machine.metadata.annotations.get(TRUST_PROOF, "{}"))
    return datetime.fromisoformat(content["at"]) if content.get("at") else datetime.min.replace(tzinfo=UTC)


def spec_of(*entries: Json) -> Json:
    """Return the spec of a small TanzuKubernetesCluster with an own list."""
    nodes = {"vmClass": "x", "storageClass": "x", "tkr": {"reference": {"name": KUBERNETES}}}
    topology = {"controlPlane": {"replicas": 1, **nodes}, "nodePools": [{"name": "np", "replicas": 1, **nodes}]}
    return {"topology": topology, "settings": {"network": {"trust": {"additionalTrustedCAs": list(entries)}}}}


CAS = [make_ca("one"), make_ca("two")]


def inline(kubeconfig: Json) -> Json:
    """Return a kubeconfig with embedded certificates and keys, as created by Cluster API."""

    def filled(part: Json) -> Json:
        files = ("certificate-authority", "client-certificate", "client-key")
        data = {f"{file}-data": _encoded(Path(part[file]).read_bytes()) for file in files if file in part}
        return {name: value for name, value in part.items() if name not in files} | data

    return {
        **kubeconfig,
        "clusters": [{**cluster, "cluster": filled(cluster["cluster"])} for cluster in kubeconfig["clusters"]],
        "users": [{**user, "user": filled(user["user"])} for user in kubeconfig["users"]],
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def kubeconfig(server: Server, **user: Any) -> Json:
    """Return a plain kubeconfig for a server of the attacker."""
    return config_of(
        {"server": server.url, "certificate-authority-data": _encoded(server.ca)}, user or {"token": "attackers"}
    )


def config_of(cluster: Json, user: Json) -> Json:
    """Return a kubeconfig of these parts."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }


async def give_endpoint(client: Client, key: Key, port: int, host: str = "127.0.0.1") -> None:
    """Report the address of a cluster's API server, as its infrastructure provider does."""
    body = {"spec": {"controlPlaneEndpoint": {"host": host, "port": port}}}
    await client.patch(CLUSTERS, key.name, key.namespace, body)


@contextlib.asynccontextmanager
async def prepared(api: ApiServer, folder: Path) -> AsyncIterator[Stage]:
    """Provide both tenants, the proven clusters of the victims, and a running manager."""
    async with contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(Client.open(api.kubeconfig))
        mallory, oscar = [await stack.enter_async_context(Client.open(user_of(api, one))) for one in TENANTS.values()]
        await grant(admin)
        await admin.apply(RELEASES, release.release_body(KUBERNETES), manager="test")
        file = folder / "manager.kubeconfig"
        file.write_text(yaml.safe_dump(await deployment.kubeconfig_of("trustplane-manager", api.kubeconfig)))
        manager = ManagerProcess(file, folder / "manager.log")
        stack.callback(manager.kill)
        manager.start()
        kubelet = await stack.enter_async_context(workload.Kubelet(admin).running())
        victim, attacker = Supervisor(admin, VICTIM), Supervisor(admin, ATTACKER)
        stage = Stage(api, admin, mallory, oscar, manager, victim, attacker, kubelet, folder)
        await until(admin, CONFIGURATIONS, NAME, "", lambda _: True)
        _, stage.host = await stack.enter_async_context(workload.registry(victim, clusterSelector={}))
        kubelet.messages[stage.host] = workload.NOT_FOUND
        await stage.make_victims()
        await stack.enter_async_context(victim.following("shop", "web"))
        for name in ("shop-np-1", "web-np-1"):  # the last objects to be created
            await until(admin, MACHINES, name, VICTIM, lambda _: True)
        yield stage
        manager.signal(signal.SIGTERM)
        assert manager.popen
        await asyncio.to_thread(manager.popen.wait, 30)
