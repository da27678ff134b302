"""Clusters in informers' caches, for controllers that decide without an API server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from tests.apiserver.controllers.conftest import entry, make_ca

from trustplane.api.annotations import CLUSTER_NAME_LABEL, COMPONENT_LABEL
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, VERIFIED
from trustplane.api.configuration import NAME, TrustedCA
from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.fleet.view import FleetView
from trustplane.kube import kinds
from trustplane.kube.informer import Change, Informer
from trustplane.kube.manager import Manager
from trustplane.kube.resource import Resource
from trustplane.trust.entries import TrustSet, parse_list
from trustplane.trust.propagation import PropagationRecord

NAMESPACE = "shop"
HOSTS = ("one.corp.test", "two.corp.test")
NOW = datetime.now(UTC)


@cache
def listed() -> tuple[Json, ...]:
    """Return the entries of the service's list."""
    return tuple(entry(name, make_ca(name)) for name in ("corp", "edge"))


@cache
def trust() -> TrustSet:
    """Return the trust set of that list."""
    return parse_list([msgspec.convert(item, TrustedCA) for item in listed()]).trust


@dataclass
class Server:
    """An API server that accepts every write, and has some Secrets."""

    secrets: dict[str, Secret] = field(default_factory=dict)
    most_kept: None = None  # as of the management cluster's own server
    asked: list[str] = field(default_factory=list)
    applied: list[Json] = field(default_factory=list)

    async def find(self, _: Resource[Any], name: str, namespace: str = "") -> Any:
        self.asked.append(f"{namespace}/{name}")
        return self.secrets.get(name)

    async def apply(self, resource: Resource[Any], body: Json, **_: Any) -> Any:
        self.applied.append(body)
        return resource.decode(json.dumps(body, default=str).encode())


@dataclass
class Recorder:
    """A recorder of Events."""

    events: list[tuple[str, str]] = field(default_factory=list)

    async def event(self, regarding: Any, reason: str, _: str, **__: Any) -> None:
        self.events.append((regarding.metadata.name, reason))


class Fleet:
    """Clusters of two nodes each, and two registries, all proven.

    Args:
        names: Of the clusters.
        server: Their API server; None: one that accepts every write.
    """

    def __init__(self, *names: str, server: Server | None = None) -> None:
        self.server, self.recorder = server or Server(), Recorder()
        self.view = FleetView(self.server, Manager(self.server), namespace="system")  # type: ignore[arg-type]
        spec = {"trust": {"additionalTrustedCAs": list(listed())}}
        self.put(kinds.CONFIGURATIONS, self.view.configurations, {"metadata": {"name": NAME}, "spec": spec})
        for host in HOSTS:
            self.registry(host)
        for name in names:
            self.cluster(name)

    def put(self, resource: Resource[Any], informer: Informer[Any], body: Json) -> None:
        """Create or change an object."""
        new = resource.decode(json.dumps(body).encode())
        key = Key(new.metadata.namespace, new.metadata.name)
        informer._store(Change(key, informer.get(key), new))

    def registry(self, host: str) -> None:
        """Add a registry that was just dialled."""
        dialled = {"type": "Reachable", "status": "True", "reason": "Dialled", "observedGeneration": 1}
        status = {"lastDialled": NOW.isoformat(), "conditions": [dialled]}
        metadata = {"name": host.partition(".")[0], "generation": 1}
        body = {"metadata": metadata, "spec": {"host": host}, "status": status}
        self.put(kinds.REGISTRIES, self.view.registries, body)

    def cluster(self, name: str) -> None:
        """Add a cluster whose nodes have proven everything."""
        view, digest = self.view, trust().digest
        owner = {"apiVersion": "run.tanzu.vmware.com/v1alpha3", "kind": "TanzuKubernetesCluster", "name": name}
        self.put(kinds.TANZU_CLUSTERS, view.tkcs, {"metadata": _metadata(name), "spec": {}})
        annotations = PropagationRecord(digest=digest).to_annotations()
        metadata = {**_metadata(name), "annotations": annotations, "ownerReferences": [owner]}
        self.put(kinds.CLUSTERS, view.clusters, {"metadata": metadata})
        kept = _metadata(secret.set_secret_name(name, digest), {COMPONENT_LABEL: "trust"})
        self.put(kinds.SECRETS, view.secrets, {"metadata": kept, "data": secret.set_data(trust())})
        self.put(kinds.CLUSTER_TRUSTS, view.trusts, {"metadata": _metadata(name)})
        for number in range(2):
            self.machine(name, number)

    def machine(self, cluster: str, number: int, annotations: Mapping[str, str] | None = None, **verdicts: str) -> None:
        """Add a machine, with other annotations, or with other verdicts by registry."""
        name = f"{cluster}-{number}"
        results = [{"registry": host, "verdict": verdicts.get(host.partition(".")[0], "Trusted")} for host in HOSTS]
        proof = {"digest": trust().digest, "at": (NOW - timedelta(minutes=5)).isoformat(), "results": results}
        applied = {"digest": trust().digest, "at": (NOW - timedelta(hours=1)).isoformat()}
        access = [{"registry": host, "verification": VERIFIED} for host in HOSTS]
        inspection = {"digest": trust().digest, "at": proof["at"], "registries": access, "registriesAt": proof["at"]}
        usual = {
            TRUST_APPLIED: json.dumps(applied),
            TRUST_PROOF: json.dumps(proof),
            TRUST_INSPECTION: json.dumps(inspection),
        }
        metadata = {**_metadata(name, cluster=cluster), "annotations": {**usual, **(annotations or {})}}
        metadata["creationTimestamp"] = (NOW - timedelta(days=1)).isoformat()
        body = {"metadata": metadata, "status": {"nodeRef": {"name": f"node-{name}"}}}
        self.put(kinds.MACHINES, self.view.machines, body)

    def trust(self, name: str, status: Json) -> None:
        """Set the status of a ClusterTrust."""
        self.put(kinds.CLUSTER_TRUSTS, self.view.trusts, {"metadata": _metadata(name), "status": status})

    def statuses(self) -> Sequence[Json]:
        """Return and clear the written statuses of Registries."""
        statuses = [body["status"] for body in self.server.applied]
        self.server.applied.clear()
        return statuses


def _metadata(name: str, labels: Mapping[str, str] | None = None, *, cluster: str = "") -> Json:
    return {"name": name, "namespace": NAMESPACE, "labels": {CLUSTER_NAME_LABEL: cluster or name, **(labels or {})}}
