"""Failing pulls of a cluster: what is reported of them, and what each pod is told. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from trustplane.api.clustertrust import MAX_FAILURES, ClusterTrust, PullFailure
from trustplane.api.meta import Json
from trustplane.api.pod import PodMetadata
from trustplane.api.registry import Registry, RegistryFailure
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Explanation
from trustplane.trust.knowledge import Knowledge, registry_host

REASON: Final = "ImagePullExplained"
NOTE_BYTES: Final = 1024  # the API server refuses longer notes
_SEEN_AGAIN: Final = timedelta(hours=1)  # so that a fleet in which nothing changes is quiet
_ALSO: Final = 3  # causes that are named beside the first
_OF_TRUST: Final = frozenset(
    {
        Code.ISSUER_NOT_TRUSTED,
        Code.SELF_SIGNED_SERVER,
        Code.CA_REKEYED,
        Code.CA_NOT_A_CA,
        Code.TRUST_NOT_APPLIED,
        Code.RUNTIME_STALE,
        Code.CA_FILE_MALFORMED,
        Code.CA_FILE_UNREADABLE,
    }
)


@dataclass(frozen=True)
class Failing:
    """One pod that waits for images of one registry, for one cause."""

    pod: str  # namespace/name
    host: str
    cause: Code


@dataclass
class _Group:
    host: str
    cause: Code
    pods: set[str] = field(default_factory=set)


class Failures:
    """What fails in a cluster, by registry and cause."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(self, one: Failing) -> None:
        """Count a pod."""
        self._groups.setdefault((one.host, one.cause), _Group(one.host, one.cause)).pods.add(one.pod)

    def report(self, before: Sequence[PullFailure], now: datetime) -> tuple[list[PullFailure], int]:
        """Return what a ClusterTrust says of it: the largest groups, and how many pods are in no group listed.

        Args:
            before: What it says now; it knows since when.
            now: The time.
        """
        ranked = sorted(self._groups.values(), key=lambda one: (-len(one.pods), one.host, one.cause))
        old = {(one.host, one.cause): one for one in before}
        listed = [_reported(one, old.get((one.host, one.cause)), now) for one in ranked[:MAX_FAILURES]]
        shown, left = (_pods(part) for part in (ranked[:MAX_FAILURES], ranked[MAX_FAILURES:]))
        return listed, len(left - shown)


def _pods(groups: Iterable[_Group]) -> set[str]:
    return {pod for one in groups for pod in one.pods}


def _reported(group: _Group, old: PullFailure | None, now: datetime) -> PullFailure:
    since = old.since if old and old.since else now
    seen = old.last_seen if old and old.last_seen and now - old.last_seen < _SEEN_AGAIN else now
    example = old.example if old and old.example in group.pods else min(group.pods)
    return PullFailure(
        host=group.host, cause=str(group.cause), pods=len(group.pods), since=since, last_seen=seen, example=example
    )


def of_registry(registry: Registry, trusts: Iterable[ClusterTrust]) -> list[RegistryFailure]:
    """Return what a Registry says of failing pulls: what the clusters say of its host, most pods first."""
    host = registry_host(registry)
    found = [
        RegistryFailure(
            cluster=f"{trust.metadata.namespace}/{trust.metadata.name}",
            **{name: getattr(one, name) for name in one.__struct_fields__ if name != "host"},
        )
        for trust in trusts
        for one in trust.status.failures
        if one.host == host
    ]
    return sorted(found, key=lambda one: (-one.pods, one.cluster, one.cause))[:MAX_FAILURES]


def note(host: str, explanation: Explanation, known: Knowledge) -> str:
    """Return what a pod is told, in at most `NOTE_BYTES`: the cause, who must act, what to do, the CA that mends it."""
    first, *others = explanation.causes
    parts = [
        f"{host}: {first.meaning} ({first.code}, {first.confidence} confidence).",
        _of_evidence(explanation),
        f"Or: {', '.join(one.code for one in others[:_ALSO])}." if others else "",
        f"For the {first.actor}: {first.next_step}.",
        f"{known.remedy}." if known.remedy and first.code in _OF_TRUST else "",
    ]
    return " ".join(part for part in parts if part).encode()[:NOTE_BYTES].decode(errors="ignore")


def _of_evidence(explanation: Explanation) -> str:
    words = "; ".join(one.text for one in explanation.evidence)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def event_name(pod: PodMetadata, cause: Code) -> str:
    """Return the name of the one Event of a pod and a cause."""
    digest = hashlib.sha256(f"{pod.uid} {cause}".encode()).hexdigest()[:16]
    return f"{pod.name[:200].rstrip('-.')}.{digest}"


def event(pod: PodMetadata, cause: Code, text: str, *, component: str, instance: str, now: datetime) -> Json:
    """Return that Event, of events.k8s.io/v1.

    Args:
        pod: Which pod.
        cause: Of its failing pull.
        text: From `note`.
        component: Who reports.
        instance: Which process of it.
        now: The time.
    """
    return {
        "metadata": {"name": event_name(pod, cause), "namespace": pod.namespace},
        "eventTime": micro_time(now),
        "reportingController": component,
        "reportingInstance": instance[:128],
        "type": "Warning",
        "reason": REASON,
        "action": "Explain",
        "note": text,
        "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod.name,
            "namespace": pod.namespace,
            "uid": pod.uid,
        },
    }


def micro_time(now: datetime) -> str:
    """Return a time as Events have it."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def body(listed: Sequence[PullFailure], more: int) -> Json:
    """Return the fields of a ClusterTrust's status."""
    return {"failures": msgspec.to_builtins(listed), "moreFailingPods": more}
