"""Failed pulls of a cluster: status fields, and an Event for each pod. Pure."""

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
from trustplane.reporting.registry_assessment import RegistryAssessment, canonical_registry_host

PULL_EXPLAINED: Final = "ImagePullExplained"
MAX_NOTE_BYTES: Final = 1024  # the API server refuses longer notes
_SEEN_INTERVAL: Final = timedelta(hours=1)  # limits status updates while nothing changes
_ALSO: Final = 3  # causes named besides the first
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
class FailingPull:
    """A pod that waits for images of one registry, with the cause."""

    pod: str  # namespace/name
    host: str
    cause: Code


@dataclass
class _Group:
    host: str
    cause: Code
    pods: set[str] = field(default_factory=set)


class PullFailureGroups:
    """The failed pulls of a cluster, by registry and cause."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(self, failing: FailingPull) -> None:
        """Count a pod."""
        key = (failing.host, failing.cause)
        self._groups.setdefault(key, _Group(*key)).pods.add(failing.pod)

    def report(self, before: Sequence[PullFailure], now: datetime) -> tuple[list[PullFailure], int]:
        """Return the failures of a ClusterTrust's status, largest first, and the number of pods that these omit.

        Args:
            before: The failures in the current status, for their times.
            now: The time.
        """
        ranked = sorted(self._groups.values(), key=lambda group: (-len(group.pods), group.host, group.cause))
        old = {(failure.host, failure.cause): failure for failure in before}
        listed = [_report(group, old.get((group.host, group.cause)), now) for group in ranked[:MAX_FAILURES]]
        shown, omitted = (_pods(part) for part in (ranked[:MAX_FAILURES], ranked[MAX_FAILURES:]))
        return listed, len(omitted - shown)


def _pods(groups: Iterable[_Group]) -> set[str]:
    return {pod for group in groups for pod in group.pods}


def _report(group: _Group, old: PullFailure | None, now: datetime) -> PullFailure:
    since = old.since if old and old.since else now
    last_seen = old.last_seen if old and old.last_seen and now - old.last_seen < _SEEN_INTERVAL else now
    example = old.example if old and old.example in group.pods else min(group.pods)
    return PullFailure(
        host=group.host,
        cause=str(group.cause),
        pods=len(group.pods),
        since=since,
        last_seen=last_seen,
        example=example,
    )


def registry_failures(registry: Registry, trusts: Iterable[ClusterTrust]) -> list[RegistryFailure]:
    """Return the failed pulls from a registry as all clusters report them, most pods first."""
    host = canonical_registry_host(registry)
    failures = [
        RegistryFailure(
            cluster=f"{trust.metadata.namespace}/{trust.metadata.name}",
            **{name: getattr(failure, name) for name in failure.__struct_fields__ if name != "host"},
        )
        for trust in trusts
        for failure in trust.status.failures
        if failure.host == host
    ]
    return sorted(failures, key=lambda failure: (-failure.pods, failure.cluster, failure.cause))[:MAX_FAILURES]


def render_note(host: str, explanation: Explanation, known: RegistryAssessment) -> str:
    """Return a pod's note of at most `NOTE_BYTES`: cause, evidence, next step with its actor, and the missing CA."""
    first, *others = explanation.causes
    parts = [
        f"{host}: {first.meaning} ({first.code}, {first.confidence} confidence).",
        _evidence_text(explanation),
        f"Or: {', '.join(cause.code for cause in others[:_ALSO])}." if others else "",
        f"For the {first.actor}: {first.next_step}.",
        f"{known.remedy}." if known.remedy and _is_fixed_by_ca(first.code, known) else "",
    ]
    return " ".join(part for part in parts if part).encode()[:MAX_NOTE_BYTES].decode(errors="ignore")


def _is_fixed_by_ca(code: Code, known: RegistryAssessment) -> bool:
    """Return whether the CA belongs into a note; against interception, only that of a served chain."""
    return code in _OF_TRUST or (code is Code.TLS_INTERCEPTED and known.is_trusted is not None)


def _evidence_text(explanation: Explanation) -> str:
    text = "; ".join(evidence.text for evidence in explanation.evidence)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def pull_event_name(pod: PodMetadata, cause: Code) -> str:
    """Return the Event name for a pod and a cause; repeated reports update the same Event."""
    digest = hashlib.sha256(f"{pod.uid} {cause}".encode()).hexdigest()[:16]
    return f"{pod.name[:200].rstrip('-.')}.{digest}"


def build_pull_event(pod: PodMetadata, cause: Code, text: str, *, component: str, instance: str, now: datetime) -> Json:
    """Return an Event of events.k8s.io/v1.

    Args:
        pod: The pod.
        cause: Of its failed pull.
        text: From `note`.
        component: The reporting controller.
        instance: Its process.
        now: The time.
    """
    return {
        "metadata": {"name": pull_event_name(pod, cause), "namespace": pod.namespace},
        "eventTime": format_micro_time(now),
        "reportingController": component,
        "reportingInstance": instance[:128],
        "type": "Warning",
        "reason": PULL_EXPLAINED,
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


def format_micro_time(now: datetime) -> str:
    """Format a time as a MicroTime, as Events require."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def failures_status(listed: Sequence[PullFailure], more: int) -> Json:
    """Return the failures as fields of a ClusterTrust's status."""
    return {"failures": msgspec.to_builtins(listed), "moreFailingPods": more}
