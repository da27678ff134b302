"""Effects of a manifest: the propagation rules, evaluated for objects before they are applied."""

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
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity
from trustplane.clusterapi.release import resolve_release
from trustplane.errors import UserError
from trustplane.fleet import last_good
from trustplane.fleet.observation import observe_trust
from trustplane.kube.client import Client
from trustplane.kube.errors import ApiError, InvalidError
from trustplane.kube.kinds import CONFIGURATIONS, RELEASES, TANZU_CLUSTERS
from trustplane.kube.resource import Resource
from trustplane.trust import list_sources, propagation
from trustplane.trust.entries import EMPTY_SET, SetDifference, TrustListEntry, TrustSet, compare_sets, update_advice
from trustplane.trust.list_sources import LastGoodList
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import REPLACE_STRATEGY
from trustplane.trust.propagation import PropagationDecision, PropagationInput, decide_propagation

NOTHING: Final = "Nothing"
HELD: Final = "Held"
UPDATED: Final = "Updated"
CREATED: Final = "Created"
REFUSED: Final = "Refused"
IN_PLACE: Final = "in place"
REPLACED: Final = "replaced"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_CONFIGURATION_KIND: Final = "TkgServiceConfiguration"

NO_CHANGE: Final = SetDifference()


class _AppliedMetadata(msgspec.Struct):
    annotations: dict[str, str] | None = None


class _Applied(msgspec.Struct):
    metadata: _AppliedMetadata


T = TypeVar("T")


@dataclass(frozen=True)
class PlannedObject:
    """One object of the manifest, with findings."""

    kind: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def can_be_applied(self) -> bool:
        """Whether the object can be applied and all its entries are usable."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The effect on one cluster."""

    key: Key
    effect: str
    reason: str = ""
    how: str = ""  # IN_PLACE or REPLACED; empty: no machine changes
    restarts: bool = False  # whether containerd restarts
    machines: int = 0
    replaced: int = 0  # machines replaced
    change: SetDifference = NO_CHANGE
    before: TrustSet = EMPTY_SET
    after: TrustSet = EMPTY_SET
    message: str = ""

    def as_json(self) -> Json:
        """Return the effect for programs."""
        old = {entry.name: entry for entry in self.before.entries}
        new = {entry.name: entry for entry in self.after.entries}
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "effect": self.effect,
            "reason": self.reason,
            "how": self.how or None,
            "containerdRestarts": self.restarts,
            "machines": self.machines,
            "replacedMachines": self.replaced,
            "added": [{"name": name, **_content(new[name])} for name in self.change.added],
            "removed": [{"name": name, **_content(old[name])} for name in self.change.removed],
            "changed": [
                {
                    "name": name,
                    "from": list(old[name].fingerprints),
                    "to": list(new[name].fingerprints),
                    "fromHosts": list(old[name].scope),
                    "toHosts": list(new[name].scope),
                }
                for name in self.change.changed
            ],
            "message": self.message,
        }


def _content(entry: TrustListEntry) -> Json:
    return {"fingerprints": list(entry.fingerprints), "hosts": list(entry.scope)}


@dataclass(frozen=True)
class ManifestPlan:
    """The effects of a whole manifest."""

    objects: tuple[PlannedObject, ...]
    effects: tuple[Effect, ...]

    @property
    def can_be_applied(self) -> bool:
        """Whether all objects can be applied, and no cluster refuses them."""
        if not all(obj.can_be_applied for obj in self.objects):
            return False
        return all(effect.effect != REFUSED for effect in self.effects)

    def as_json(self) -> Json:
        """Return the plan for programs."""
        documents = [
            {
                "kind": obj.kind,
                "name": obj.name,
                "canBeApplied": obj.can_be_applied,
                "findings": [
                    {
                        "code": finding.code,
                        "severity": str(finding.severity),
                        "where": finding.where,
                        "message": str(finding),
                    }
                    for finding in obj.findings
                ],
            }
            for obj in self.objects
        ]
        clusters = [effect.as_json() for effect in self.effects]
        return {"canBeApplied": self.can_be_applied, "documents": documents, "clusters": clusters}


class _Overlay:
    """A client whose objects of the manifest replace those of the server."""

    def __init__(self, client: Client, planned: Mapping[tuple[str, Key], Any]) -> None:
        self._client = client
        self._planned = planned

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Return an object after the apply, or None if it would not exist."""
        planned: T | None = self._planned.get((resource.kind, Key(namespace, name)))
        if planned is not None:
            return planned
        stored = await self._client.find(resource, name, namespace)
        return stored  # noqa: RET504  mypy would infer an optional kind for a direct return


async def plan_manifest(client: Client, manifest: Sequence[Json], *, namespace: str, manager: str) -> ManifestPlan:
    """Plan a manifest.

    Args:
        client: to the management cluster.
        manifest: objects of the manifest.
        namespace: Trustplane's namespace, with the last good service list.
        manager: field manager of the later apply.

    Raises:
        UserError: no object of the manifest affects trust.
    """
    kinds: dict[str, Resource[Any]] = {_CONFIGURATION_KIND: CONFIGURATIONS, CLUSTER_KIND: TANZU_CLUSTERS}
    relevant = [obj for obj in manifest if obj.get("kind") in kinds]
    if not relevant:
        raise UserError(
            "The manifest has nothing to plan",
            why=f"it has no {_CONFIGURATION_KIND} and no {CLUSTER_KIND}",
            next_step="Pass the manifest that you are about to apply",
        )
    kept = await last_good.find_last_good(client, namespace=namespace)
    objects, planned = [], {}
    for body in relevant:
        resource = kinds[body["kind"]]
        planned_object, after = await _review(client, resource, body, manager, kept)
        objects.append(planned_object)
        if after is not None:
            planned[resource.kind, key_of(after)] = after
    effects = await _effects(client, planned, namespace)
    return ManifestPlan(tuple(objects), tuple(effects))


async def _review(
    client: Client, resource: Resource[T], body: Json, manager: str, kept: LastGoodList | None
) -> tuple[PlannedObject, T | None]:
    metadata = dict(body["metadata"])
    if resource.namespaced:
        metadata.setdefault("namespace", "default")
    name = str(metadata.get("name", ""))
    body = {**body, "metadata": metadata}
    merged, refusal = await _dry_run(client, resource, body, manager)
    try:
        after = resource.decode(json.dumps(await _after_apply(client, resource, body, merged)).encode())
    except ApiError:
        return PlannedObject(resource.kind, name, tuple(refusal)), None
    return PlannedObject(resource.kind, name, (*refusal, *_findings(after, kept))), after


async def _dry_run(client: Client, resource: Resource[Any], body: Json, manager: str) -> tuple[Json, list[Finding]]:
    """Return the result of a server-side dry run; if the API server refuses the object, empty with a finding."""
    metadata = body["metadata"]
    params = {"dryRun": "All", "fieldManager": manager, "force": "true"}
    version = str(body.get("apiVersion") or resource.api_version)
    versioned = replace(resource, version=version.rpartition("/")[2])
    path = versioned.path(metadata.get("namespace", ""), str(metadata.get("name", "")))
    content_type = "application/apply-patch+yaml"
    body = {**body, "apiVersion": version}
    try:
        response = await client.raw("PATCH", path, body=body, content_type=content_type, params=params)
    except InvalidError as error:
        return {}, [Finding(code="refused", what="The API server refuses the object", why=error.why)]
    merged: Json = json.loads(response)
    return merged, []


async def _after_apply(client: Client, resource: Resource[Any], body: Json, merged: Json) -> Json:
    """Return the object after the apply: the manifest's spec, and status and metadata of the stored object."""
    metadata = body["metadata"]
    live = await client.find(resource, str(metadata["name"]), metadata.get("namespace", ""))
    if live is None:
        return {**body, "status": {}}
    old: Json = msgspec.to_builtins(live)
    kept = (merged or old)["metadata"].get("annotations", {})
    annotations = annotations_after(kept, metadata.get("annotations") or {})
    return {**old, "metadata": {**old["metadata"], "annotations": annotations}, "spec": body.get("spec", {})}


def annotations_after(kept: Mapping[str, str], manifest: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations after `kubectl apply`, which removes only those it has set before.

    Args:
        kept: annotations of the object, after removals by a server-side apply of the same manager.
        manifest: annotations of the manifest.
    """
    before = _last_applied(kept.get(_LAST_APPLIED, ""))
    return {**{name: value for name, value in kept.items() if name not in before}, **manifest}


def _last_applied(text: str) -> Mapping[str, str]:
    """Return the annotations last applied by `kubectl apply`; empty if unreadable."""
    try:
        return msgspec.json.decode(text, type=_Applied).metadata.annotations or {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}


def _findings(after: object, kept: LastGoodList | None) -> tuple[Finding, ...]:
    if isinstance(after, TkgServiceConfiguration):
        return list_sources.parse_service_list(after, kept).findings
    own = list_sources.parse_own_list(after) if isinstance(after, TanzuKubernetesCluster) else None
    return own.findings if own else ()


async def _effects(client: Client, planned: Mapping[tuple[str, Key], Any], namespace: str) -> list[Effect]:
    tkcs = {key_of(tkc): tkc for tkc in await client.list(TANZU_CLUSTERS)}
    planned_tkcs = {key: tkc for (kind, key), tkc in planned.items() if kind == CLUSTER_KIND}
    is_service = (_CONFIGURATION_KIND, Key("", NAME)) in planned
    affected = {**(tkcs if is_service else {}), **planned_tkcs}
    releases = await client.list(RELEASES)
    overlay = _Overlay(client, planned)
    effects = []
    for key, tkc in sorted(affected.items()):
        release = resolve_release(tkc, releases, running=tkc.status.version.partition("+")[0])
        if isinstance(release, Finding):
            effects.append(Effect(key=key, effect=REFUSED, reason=release.code, message=str(release)))
            continue
        version = release.spec.kubernetes.version
        observed = await observe_trust(
            overlay, tkc, kubernetes_version=version, namespace=namespace, now=datetime.now(UTC)
        )
        decision, machines = decide_propagation(observed.situation), _count_machines(observed.cluster)
        strategy = observed.update_strategy
        effects.append(cluster_effect(key, observed.situation, decision, machines, strategy=strategy))
    return effects


class MachineCounts(NamedTuple):
    """The number of a cluster's machines."""

    control_plane: int = 0
    workers: int = 0


def _count_machines(cluster: Cluster | None) -> MachineCounts:
    if cluster is None:
        return MachineCounts()
    groups = (cluster.status.control_plane, cluster.status.workers)
    return MachineCounts(*(group.replicas if group else 0 for group in groups))


def cluster_effect(
    key: Key, situation: PropagationInput, decision: PropagationDecision, machines: MachineCounts, *, strategy: str
) -> Effect:
    """Return the effect of a decision on a cluster.

    Args:
        key: of the cluster.
        situation: input of the decision.
        decision: result of the propagation rules.
        machines: counts of the cluster's machines.
        strategy: policy `update-strategy` of the cluster.
    """
    before = situation.in_force or EMPTY_SET
    if decision.trust is None:
        return Effect(key=key, effect=REFUSED, reason=decision.reason, message=_errors(decision))
    if situation.record is None:
        change = compare_sets(EMPTY_SET, decision.trust)
        return Effect(key=key, effect=CREATED, reason=decision.reason, change=change, after=decision.trust)
    other = _has_other_update(situation)
    if decision.takes_set or other:
        in_place = not other and strategy != REPLACE_STRATEGY
        total = sum(machines)
        return Effect(
            key=key,
            effect=UPDATED,
            reason=decision.reason if decision.takes_set else propagation.OTHER_UPDATE,
            how=IN_PLACE if in_place else REPLACED,
            restarts=in_place and total > 0 and before.node_wide != decision.trust.node_wide,
            machines=total,
            replaced=0 if in_place else total,
            change=compare_sets(before, decision.trust),
            before=before,
            after=decision.trust,
        )
    if decision.is_invalid:
        return Effect(key=key, effect=NOTHING, reason=decision.reason, message=_errors(decision))
    if decision.is_current:
        return Effect(key=key, effect=NOTHING, reason=decision.reason)
    command = f"trustplane update {key.name} --namespace {key.namespace}"
    return Effect(
        key=key,
        effect=HELD,
        reason=decision.reason,
        change=decision.difference,
        before=before,
        after=_desired(situation),
        message=f"not current until an update. {update_advice(decision.difference, command)}",
    )


def _desired(situation: PropagationInput) -> TrustSet:
    return merge_lists(situation.service, situation.own, situation.policy.merge).trust


def _has_other_update(situation: PropagationInput) -> bool:
    """Return whether a change besides trust updates machines; Cluster API then replaces them."""
    before = situation.record.update_digests if situation.record else {}
    return propagation.has_spec_changed(before, situation.update_digests)


def _errors(decision: PropagationDecision) -> str:
    errors = [str(finding) for finding in decision.findings if finding.severity is Severity.ERROR]
    return "; ".join(errors[:3])
