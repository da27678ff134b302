"""A management cluster in memory; informers observe writes immediately."""

import asyncio
import base64
import copy
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import pytest
from tests.unit.controllers.fleet import HOSTS, NAMESPACE, NOW, Fleet, Server, trust

from trustplane.api.annotations import (
    CLUSTER_LABEL,
    COMPONENT_LABEL,
    CONTROL_PLANE_LABEL,
    DEPLOYMENT_NAME_LABEL,
    TRUST_PROVEN,
)
from trustplane.api.clustertrust import IN_PLACE, TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, VERIFIED
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.clusterapi.secret import BootSet
from trustplane.clusterapi.ssh_secret import PRIVATE_KEY_FIELD
from trustplane.kube import kinds
from trustplane.kube.errors import AlreadyExistsError, ConflictError, NotFoundError
from trustplane.kube.informer import Change, Informer
from trustplane.kube.resource import Resource
from trustplane.nodes import hostkey, ssh
from trustplane.nodes.ssh import CommandOutput
from trustplane.trust import bundle
from trustplane.trust.entries import TrustSet

UID: Final = "uid"
HOST_KEY: Final = "ssh-ed25519 AAAA"
BEFORE: Final = NOW - timedelta(hours=1)


class Supervisor(Server):
    """An API server with optimistic locking, merge patches and preconditions.

    Attributes:
        calls: Writes that succeeded, as `verb plural/name`.
        refusing: Writes, as in `calls`, and what each of them raises once.
        before: Called before each write, with its name as in `calls`; it may change what is there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bodies: dict[tuple[str, Key], Json] = {}
        self.informers: dict[str, Informer[Any]] = {}
        self.calls: list[str] = []
        self.refusing: dict[str, Exception] = {}
        self.before: Callable[[str], None] = lambda _: None
        self._version = 100

    def stored(self, resource: Resource[Any], name: str, namespace: str = NAMESPACE) -> Json:
        """Return the stored object."""
        return self.bodies[str(resource), Key(namespace, name)]

    def names(self, resource: Resource[Any]) -> set[str]:
        """Return the names of a kind's objects."""
        return {key.name for kind, key in self.bodies if kind == str(resource)}

    async def find(self, resource: Resource[Any], name: str, namespace: str = "") -> Any:
        stored = self.bodies.get((str(resource), Key(namespace, name)))
        return _decoded(resource, stored) if stored else None

    async def get(self, resource: Resource[Any], name: str, namespace: str = "") -> Any:
        stored = await self.find(resource, name, namespace)
        if stored is None:
            raise NotFoundError(f"{resource} {namespace}/{name} not found")
        return stored

    async def list(self, resource: Resource[Any], namespace: str = "", *, labels: str = "") -> list[Any]:
        return [_decoded(resource, body) for body in self._matching(resource, namespace, labels)]

    def _matching(self, resource: Resource[Any], namespace: str, labels: str) -> Iterator[Json]:
        wanted = dict(label.split("=", 1) for label in labels.split(",") if label)
        there = [
            body
            for (kind, key), body in self.bodies.items()
            if kind == str(resource) and namespace in ("", key.namespace)
        ]
        for body in there:
            if wanted.items() <= (body["metadata"].get("labels") or {}).items():
                yield body

    async def create(self, resource: Resource[Any], body: Json) -> Any:
        key = _key(body)
        self._begin("create", resource, key.name)
        if (str(resource), key) in self.bodies:
            raise AlreadyExistsError(f"{resource} {key} already exists")
        return self._store("create", resource, key, body)

    async def apply(self, resource: Resource[Any], body: Json, **_: Any) -> Any:
        """Apply; other managers' fields in `data` stay."""
        key = _key(body)
        self._begin("apply", resource, key.name)
        before = self.bodies.get((str(resource), key), {})
        return self._store("apply", resource, key, _merged(before, body))

    async def patch(self, resource: Resource[Any], name: str, namespace: str, body: Json, **_: Any) -> Any:
        self._begin("patch", resource, name)
        key = Key(namespace, name)
        stored = self.bodies.get((str(resource), key))
        if stored is None:
            raise NotFoundError(f"{resource} {key} not found")
        for field in ("resourceVersion", UID):
            if body.get("metadata", {}).get(field, stored["metadata"][field]) != stored["metadata"][field]:
                raise ConflictError(f"{resource} {key} has changed")
        return self._store("patch", resource, key, _merged(stored, body))

    async def delete(self, resource: Resource[Any], name: str, namespace: str = "", *, uid: str = "") -> None:
        self._begin("delete", resource, name)
        key = Key(namespace, name)
        stored = self.bodies.get((str(resource), key))
        if stored is None:
            return
        if uid and uid != stored["metadata"][UID]:
            raise ConflictError(f"{resource} {key} is another one")
        self.calls.append(f"delete {resource.plural}/{name}")
        del self.bodies[str(resource), key]
        self._tell(resource, key, None)

    def _begin(self, verb: str, resource: Resource[Any], name: str) -> None:
        what = f"{verb} {resource.plural}/{name}"
        self.before(what)
        if what in self.refusing:
            raise self.refusing.pop(what)

    def _store(self, verb: str, resource: Resource[Any], key: Key, body: Json) -> Any:
        before = self.bodies.get((str(resource), key))
        stored = copy.deepcopy(body)
        metadata = stored["metadata"]
        metadata.setdefault(UID, f"{UID}-{resource.plural}-{key.name}")
        if before is None or _plain(before) != _plain(stored):
            self._version += 1
            metadata["resourceVersion"] = str(self._version)
        self.calls.append(f"{verb} {resource.plural}/{key.name}")
        self.keep(resource, key, stored)
        return _decoded(resource, stored)

    def keep(self, resource: Resource[Any], key: Key, body: Json) -> None:
        """Store an object unchanged."""
        metadata = body["metadata"]
        metadata.setdefault(UID, f"{UID}-{resource.plural}-{key.name}")
        metadata.setdefault("resourceVersion", "1")
        self.bodies[str(resource), key] = body
        self._tell(resource, key, body)

    def theirs(self, resource: Resource[Any], name: str, body: Json) -> None:
        """Change an object as another client, by a merge patch."""
        key = Key(NAMESPACE, name)
        stored = _merged(self.stored(resource, name), body)
        self._version += 1
        self.keep(resource, key, stored | {"metadata": {**stored["metadata"], "resourceVersion": str(self._version)}})

    def lose(self, resource: Resource[Any], name: str) -> None:
        """Delete an object as another client."""
        key = Key(NAMESPACE, name)
        del self.bodies[str(resource), key]
        self._tell(resource, key, None)

    def _tell(self, resource: Resource[Any], key: Key, body: Json | None) -> None:
        informer = self.informers.get(str(resource))
        if informer is None:
            return
        old = informer.get(key)
        if old is not None or body is not None:
            informer._store(Change(key, old, _decoded(resource, body) if body else None))


def _key(body: Json) -> Key:
    return Key(body["metadata"].get("namespace", ""), body["metadata"]["name"])


def _plain(body: Json) -> Json:
    return body | {"metadata": {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}}


def _merged(before: Any, patch: Any) -> Any:
    """Return the result of a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _decoded(resource: Resource[Any], body: Json) -> Any:
    return resource.decode(json.dumps(body, default=str).encode())


@cache
def old() -> TrustSet:
    """Return a set with one entry less than `fleet.trust()`, the set in force."""
    return TrustSet(trust().entries[:1])


class Supervised(Fleet):
    """A fleet whose controllers write to a management cluster and to nodes. Clusters have no machines yet.

    Args:
        names: Of the clusters.
    """

    server: Supervisor

    def __init__(self, *names: str) -> None:
        super().__init__(*names, server=Supervisor())
        self.server.calls.clear()

    def put(self, resource: Resource[Any], informer: Informer[Any], body: Json) -> None:
        """Create or change an object."""
        self.server.informers[str(resource)] = informer
        self.server.keep(resource, _key(body), copy.deepcopy(body))

    def cluster(self, name: str) -> None:
        """Add a cluster without machines, with an SSH key."""
        super().cluster(name)
        for machine in sorted(self.server.names(kinds.MACHINES)):
            if machine.startswith(f"{name}-"):
                self.remove(kinds.MACHINES, machine)
        self.remove(kinds.SECRETS, secret.set_secret_name(name, trust().digest))
        self.kept(name, trust())
        self.secret(f"{name}-ssh", name, "ssh", {PRIVATE_KEY_FIELD: base64.b64encode(b"key").decode()})
        # The informers of their controllers.
        self.server.informers[str(kinds.CONTROL_PLANES)] = self.view.control_planes
        self.server.informers[str(kinds.MACHINE_DEPLOYMENTS)] = self.view.pools
        self.server.informers[str(kinds.MACHINE_HEALTH_CHECKS)] = self.view.health_checks

    def secret(self, name: str, cluster: str, component: str, data: Mapping[str, str]) -> None:
        """Add a Secret of Trustplane."""
        labels = {CLUSTER_LABEL: cluster, COMPONENT_LABEL: component}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        self.put(kinds.SECRETS, self.view.secrets, {"metadata": metadata, "data": dict(data)})

    def kept(self, cluster: str, held: TrustSet) -> None:
        """Store a trust set of a cluster in its Secret."""
        self.secret(secret.set_secret_name(cluster, held.digest), cluster, "trust", secret.set_data(held))

    def boots(self, cluster: str, held: TrustSet) -> None:
        """Make a proven set the boot set of a cluster."""
        self.kept(cluster, held)
        text = bundle.render_bundle(held, bundle.DEFAULT_BUDGET_BYTES)
        self.secret(
            f"{cluster}-trust", cluster, "trust-boot", {bundle.BUNDLE_KEY: base64.b64encode(text.encode()).decode()}
        )
        self.change(kinds.CLUSTERS, cluster, {"metadata": {"annotations": {TRUST_PROVEN: held.digest}}})

    def node(
        self,
        cluster: str,
        number: int,
        held: TrustSet | None,
        *,
        proven: bool = False,
        joined: bool = True,
        silent: bool = False,
        control_plane: bool = False,
        **verdicts: str,
    ) -> str:
        """Add a machine with a set; return its name."""
        name = f"{cluster}-{number}"
        digest = held.digest if held is not None else ""
        written = {"digest": digest, "at": BEFORE.isoformat(), "method": IN_PLACE}
        self.machine(cluster, number, {TRUST_APPLIED: json.dumps(written)})
        role = {CONTROL_PLANE_LABEL: ""} if control_plane else {DEPLOYMENT_NAME_LABEL: "np"}
        ready = {"type": "NodeReady", "status": "Unknown" if silent else "True", "message": "kubelet stopped"}
        body: Json = {
            "metadata": {"labels": role, "annotations": {hostkey.ANNOTATION: HOST_KEY}},
            "spec": {"clusterName": cluster, "bootstrap": {"dataSecretName": f"{name}-data"}},
            "status": {"addresses": [{"type": "InternalIP", "address": name}], "conditions": [ready]},
        }
        if not joined:
            body["status"]["nodeRef"] = None
        self.change(kinds.MACHINES, name, body)
        self.says(name, held if proven or verdicts else None, **verdicts)
        if not digest:
            self.change(kinds.MACHINES, name, {"metadata": {"annotations": {TRUST_APPLIED: None}}})
        return name

    def says(self, machine: str, held: TrustSet | None, **verdicts: str) -> None:
        """Record a node's proof that it trusts every registry with a set, with exceptions by registry."""
        at, nothing = datetime.now(UTC).isoformat(), dict.fromkeys((TRUST_PROOF, TRUST_INSPECTION))
        digest = held.digest if held is not None else ""
        results = [{"registry": host, "verdict": verdicts.get(host.partition(".")[0], "Trusted")} for host in HOSTS]
        access = [{"registry": host, "verification": VERIFIED} for host in HOSTS]
        proof = {"digest": digest, "at": at, "results": results}
        inspection = {"digest": digest, "at": at, "registries": access, "registriesAt": at}
        records = (
            {TRUST_PROOF: json.dumps(proof), TRUST_INSPECTION: json.dumps(inspection)} if held is not None else nothing
        )
        self.change(kinds.MACHINES, machine, {"metadata": {"annotations": records}})

    def change(self, resource: Resource[Any], name: str, body: Json) -> None:
        """Change an object as another client, by a merge patch."""
        self.server.theirs(resource, name, body)

    def remove(self, resource: Resource[Any], name: str) -> None:
        """Delete an object as another client."""
        self.server.lose(resource, name)

    def annotations(self, name: str, resource: Resource[Any] = kinds.CLUSTERS) -> dict[str, str]:
        """Return the annotations of an object."""
        return dict(self.server.stored(resource, name)["metadata"].get("annotations") or {})

    def boot_set(self, cluster: str) -> BootSet:
        """Return the boot set of a cluster."""
        return secret.parse_boot_secret(_decoded(kinds.SECRETS, self.server.stored(kinds.SECRETS, f"{cluster}-trust")))


class Shells:
    """The nodes, as reached by SSH; their addresses are the names of their Machines.

    Attributes:
        files: Paths of our files, by node.
        opened: Addresses that were dialled.
        failing: What nodes raise when they are dialled.
        held: Nodes that answer when the event is set; others answer at once.
        asked: Called with the name of each node that receives a script.
        sent: Called after a change was sent.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[str, dict[str, str]] = {}
        self.opened: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.asked: Callable[[str], None] = lambda _: None
        self.sent: Callable[[], None] = lambda: None
        monkeypatch.setattr(ssh, "connect", self._connect)

    @asynccontextmanager
    async def _connect(self, address: str, key: str) -> AsyncIterator["_Shell"]:
        assert key == "key"
        self.opened.append(address)
        if address in self.held:
            await self.held[address].wait()
        if address in self.failing:
            raise self.failing[address]
        yield _Shell(self, address)


class _Shell:
    """A node's shell that understands the scripts of `nodes.trust`."""

    host_key = HOST_KEY

    def __init__(self, shells: Shells, address: str) -> None:
        self.address = address
        self._shells = shells

    async def run(self, _: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        assert timeout > 0
        files = self._shells.files.setdefault(self.address, {})
        _, is_plan, lines = stdin.partition("main apply <<'PLAN'\n")
        self._shells.asked(self.address)
        if is_plan:
            self._shells.sent()
        for line in lines.splitlines() if is_plan else ():
            verb, _, rest = line.partition(" ")
            if verb == "write":
                path, digest, _ = rest.split(" ")
                files[path] = digest
            elif verb == "remove":
                del files[rest]
        record = base64.b64encode(json.dumps({"files": files}).encode()).decode()
        stats = [
            line
            for path, checksum in files.items()
            for line in (f"stat 1 regular file|{path}", f"sum {checksum}  {path}")
        ]
        return CommandOutput("\n".join([*stats, f"manifest {record}", "token T", "kubelet active", ""]), "", 0)
