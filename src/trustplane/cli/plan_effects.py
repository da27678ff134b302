"""What manifests would do: the rules of propagation, asked about objects that nobody has applied yet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from trustplane.api.cluster import KIND as CLUSTER_KIND
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.configuration import NAME, TkgServiceConfiguration
from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity
from trustplane.clusterapi.release import resolve
from trustplane.controllers import last_good
from trustplane.controllers.observation import observe
from trustplane.controllers.resources import CONFIGURATIONS, RELEASES, TANZU_CLUSTERS
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.errors import ApiError, InvalidError
from trustplane.kube.resource import Key, Resource, key_of
from trustplane.trust import lists, propagation
from trustplane.trust.effective import effective
from trustplane.trust.entries import EMPTY, Difference, Entry, TrustSet, difference, take_it
from trustplane.trust.lists import LastGood
from trustplane.trust.policy import REPLACE
from trustplane.trust.propagation import Decision, Situation, decide

NOTHING: Final = "Nothing"
HELD: Final = "Held"
UPDATED: Final = "Updated"
CREATED: Final = "Created"
REFUSED: Final = "Refused"
IN_PLACE: Final = "in place"
REPLACED: Final = "replaced"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_CONFIGURATION_KIND: Final = "TkgServiceConfiguration"

NO_CHANGE: Final = Difference()


class _AppliedMetadata(msgspec.Struct):
    annotations: dict[str, str] | None = None


class _Applied(msgspec.Struct):
    metadata: _AppliedMetadata


T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """One object of the manifest, and what is wrong with it."""

    kind: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def can_be_applied(self) -> bool:
        """Whether it can be applied, and every entry of it can be used."""
        return not any(one.severity is Severity.ERROR for one in self.findings)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What would happen to one cluster."""

    key: Key
    effect: str
    reason: str = ""
    how: str = ""  # IN_PLACE or REPLACED; empty: no machine is touched
    restarts: bool = False  # of containerd
    machines: int = 0
    replaced: int = 0  # of them
    change: Difference = NO_CHANGE
    before: TrustSet = EMPTY
    after: TrustSet = EMPTY
    message: str = ""

    def as_json(self) -> Json:
        """Return it for scripts."""
        old = {one.name: one for one in self.before.entries}
        new = {one.name: one for one in self.after.entries}
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "effect": self.effect,
            "reason": self.reason,
            "how": self.how or None,
            "containerdRestarts": self.restarts,
            "machines": self.machines,
            "replacedMachines": self.replaced,
            "added": [{"name": one, **_content(new[one])} for one in self.change.added],
            "removed": [{"name": one, **_content(old[one])} for one in self.change.removed],
            "changed": [
                {
                    "name": one,
                    "from": list(old[one].fingerprints),
                    "to": list(new[one].fingerprints),
                    "fromHosts": list(old[one].hosts),
                    "toHosts": list(new[one].hosts),
                }
                for one in self.change.changed
            ],
            "message": self.message,
        }


def _content(entry: Entry) -> Json:
    return {"fingerprints": list(entry.fingerprints), "hosts": list(entry.hosts)}


@dataclass(frozen=True)
class Plan:
    """What the whole manifest would do."""

    documents: tuple[Document, ...]
    effects: tuple[Effect, ...]

    @property
    def can_be_applied(self) -> bool:
        """Whether every object can."""
        return all(one.can_be_applied for one in self.documents) and all(one.effect != REFUSED for one in self.effects)

    def as_json(self) -> Json:
        """Return it for scripts."""
        documents = [
            {
                "kind": one.kind,
                "name": one.name,
                "canBeApplied": one.can_be_applied,
                "findings": [
                    {"code": each.code, "severity": str(each.severity), "where": each.where, "message": str(each)}
                    for each in one.findings
                ],
            }
            for one in self.documents
        ]
        clusters = [one.as_json() for one in self.effects]
        return {"canBeApplied": self.can_be_applied, "documents": documents, "clusters": clusters}


class _Overlay:
    """Reads objects as they would be: those of the manifest first."""

    def __init__(self, client: Client, planned: Mapping[tuple[str, Key], Any]) -> None:
        self._client = client
        self._planned = planned

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Return an object, or None where there would be none."""
        planned: T | None = self._planned.get((resource.kind, Key(namespace, name)))
        if planned is not None:
            return planned
        found = await self._client.find(resource, name, namespace)
        return found  # noqa: RET504  the type checker would look for an optional kind


async def make(client: Client, manifest: Sequence[Json], *, namespace: str, manager: str) -> Plan:
    """Plan a manifest.

    Args:
        client: To the management cluster.
        manifest: Its objects.
        namespace: Trustplane's own, which has the last good service list.
        manager: Field manager of who is going to apply it.

    Raises:
        UserError: It has no object that trust depends on.
    """
    known: dict[str, Resource[Any]] = {_CONFIGURATION_KIND: CONFIGURATIONS, CLUSTER_KIND: TANZU_CLUSTERS}
    concerned = [one for one in manifest if one.get("kind") in known]
    if not concerned:
        raise UserError(
            "The manifest has nothing to plan",
            why=f"it has no {_CONFIGURATION_KIND} and no {CLUSTER_KIND}",
            next_step="Give the manifest that you are about to apply",
        )
    kept = await last_good.find(client, namespace=namespace)
    documents, planned = [], {}
    for body in concerned:
        resource = known[body["kind"]]
        document, found = await _review(client, resource, body, manager, kept)
        documents.append(document)
        if found is not None:
            planned[resource.kind, key_of(found)] = found
    effects = await _effects(client, planned, namespace)
    return Plan(tuple(documents), tuple(effects))


async def _review(
    client: Client, resource: Resource[T], body: Json, manager: str, kept: LastGood | None
) -> tuple[Document, T | None]:
    metadata = dict(body["metadata"])
    if resource.namespaced:
        metadata.setdefault("namespace", "default")
    name = str(metadata.get("name", ""))
    body = {**body, "metadata": metadata}
    merged, refusal = await _dry_run(client, resource, body, manager)
    try:
        found = resource.decode(json.dumps(await _as_it_would_be(client, resource, body, merged)).encode())
    except ApiError:
        return Document(resource.kind, name, tuple(refusal)), None
    return Document(resource.kind, name, (*refusal, *_findings(found, kept))), found


async def _dry_run(client: Client, resource: Resource[Any], body: Json, manager: str) -> tuple[Json, list[Finding]]:
    """Return the object as the API server would have it, nothing where it refuses, and why."""
    metadata = body["metadata"]
    params = {"dryRun": "All", "fieldManager": manager, "force": "true"}
    version = str(body.get("apiVersion") or resource.api_version)
    asked = replace(resource, version=version.rpartition("/")[2])
    path = asked.path(metadata.get("namespace", ""), str(metadata.get("name", "")))
    content_type = "application/apply-patch+yaml"
    body = {**body, "apiVersion": version}
    try:
        answer = await client.raw("PATCH", path, body=body, content_type=content_type, params=params)
    except InvalidError as error:
        return {}, [Finding(code="refused", what="The API server refuses it", why=error.why)]
    merged: Json = json.loads(answer)
    return merged, []


async def _as_it_would_be(client: Client, resource: Resource[Any], body: Json, merged: Json) -> Json:
    """Return the object with the manifest's spec; what only the API server knows of it stays."""
    metadata = body["metadata"]
    live = await client.find(resource, str(metadata["name"]), metadata.get("namespace", ""))
    if live is None:
        return {**body, "status": {}}
    old: Json = msgspec.to_builtins(live)
    kept = (merged or old)["metadata"].get("annotations", {})
    annotations = annotations_after(kept, metadata.get("annotations") or {})
    return {**old, "metadata": {**old["metadata"], "annotations": annotations}, "spec": body.get("spec", {})}


def annotations_after(kept: Mapping[str, str], manifest: Mapping[str, str]) -> dict[str, str]:
    """Return annotations as `kubectl apply` leaves them: it takes away what it set before, and nothing of others.

    Args:
        kept: Those of the object, without what another server-side apply of the same manager takes away.
        manifest: Those of the manifest.
    """
    before = _applied(kept.get(_LAST_APPLIED, ""))
    return {**{name: value for name, value in kept.items() if name not in before}, **manifest}


def _applied(text: str) -> Mapping[str, str]:
    """Return the annotations of the manifest that `kubectl apply` has left; none where it cannot be read."""
    try:
        return msgspec.json.decode(text, type=_Applied).metadata.annotations or {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}


def _findings(found: object, kept: LastGood | None) -> tuple[Finding, ...]:
    if isinstance(found, TkgServiceConfiguration):
        return lists.service(found, kept).findings
    own = lists.own(found) if isinstance(found, TanzuKubernetesCluster) else None
    return own.findings if own else ()


async def _effects(client: Client, planned: Mapping[tuple[str, Key], Any], namespace: str) -> list[Effect]:
    tkcs = {key_of(one): one for one in await client.list(TANZU_CLUSTERS)}
    named = {key: one for (kind, key), one in planned.items() if kind == CLUSTER_KIND}
    is_service = (_CONFIGURATION_KIND, Key("", NAME)) in planned
    concerned = {**(tkcs if is_service else {}), **named}
    releases = await client.list(RELEASES)
    overlay = _Overlay(client, planned)
    found = []
    for key, tkc in sorted(concerned.items()):
        release = resolve(tkc, releases, running=tkc.status.version.partition("+")[0])
        if isinstance(release, Finding):
            found.append(Effect(key=key, effect=REFUSED, reason=release.code, message=str(release)))
            continue
        version = release.spec.kubernetes.version
        seen = await observe(overlay, tkc, kubernetes_version=version, namespace=namespace, now=datetime.now(UTC))
        decision, machines = decide(seen.situation), _machines(seen.cluster)
        found.append(effect(key, seen.situation, decision, machines, strategy=seen.update_strategy))
    return found


class Machines(NamedTuple):
    """The machines that a cluster has."""

    control_plane: int = 0
    workers: int = 0


def _machines(cluster: Cluster | None) -> Machines:
    if cluster is None:
        return Machines()
    halves = (cluster.status.control_plane, cluster.status.workers)
    return Machines(*(one.replicas if one else 0 for one in halves))


def effect(key: Key, situation: Situation, decision: Decision, machines: Machines, *, strategy: str) -> Effect:
    """Say in words what a decision means for a cluster.

    Args:
        key: Of the cluster.
        situation: What was decided about.
        decision: What was decided.
        machines: That the cluster has.
        strategy: Policy `update-strategy` of the cluster.
    """
    before = situation.in_force or EMPTY
    if decision.trust is None:
        return Effect(key=key, effect=REFUSED, reason=decision.reason, message=_errors(decision))
    if situation.frozen is None:
        change = difference(EMPTY, decision.trust)
        return Effect(key=key, effect=CREATED, reason=decision.reason, change=change, after=decision.trust)
    other = _is_updated_otherwise(situation)
    if decision.taken or other:
        in_place = not other and strategy != REPLACE
        total = sum(machines)
        return Effect(
            key=key,
            effect=UPDATED,
            reason=decision.reason if decision.taken else propagation.OTHER_UPDATE,
            how=IN_PLACE if in_place else REPLACED,
            restarts=in_place and total > 0 and before.node_wide != decision.trust.node_wide,
            machines=total,
            replaced=0 if in_place else total,
            change=difference(before, decision.trust),
            before=before,
            after=decision.trust,
        )
    if decision.invalid:
        return Effect(key=key, effect=NOTHING, reason=decision.reason, message=_errors(decision))
    if decision.current:
        return Effect(key=key, effect=NOTHING, reason=decision.reason)
    command = f"trustplane update {key.name} --namespace {key.namespace}"
    return Effect(
        key=key,
        effect=HELD,
        reason=decision.reason,
        change=decision.difference,
        before=before,
        after=_wanted(situation),
        message=f"not current until asked. {take_it(decision.difference, command)}",
    )


def _wanted(situation: Situation) -> TrustSet:
    return effective(situation.service, situation.own, situation.policy.merge).trust


def _is_updated_otherwise(situation: Situation) -> bool:
    """Tell whether something else than trust changes machines; Cluster API then replaces them."""
    before = situation.frozen.update_digests if situation.frozen else {}
    return propagation.is_updated(before, situation.update_digests)


def _errors(decision: Decision) -> str:
    errors = [str(one) for one in decision.findings if one.severity is Severity.ERROR]
    return "; ".join(errors[:3])
