"""The probe pod: what is asked of a node's kubelet, and what its answer says. Pure.

The pod names its node, so that no scheduler, cordon or taint is in the way, and an image that does not exist (or one
that does, to pull for real). Its container is never meant to run: a pull is all that is wanted.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (the pod satisfies "restricted").
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from trustplane.api.meta import Json
from trustplane.proof.reports import PROBE_CONTAINER, ProbeEvent, ProbePod, ProbeState, ProbeWaiting
from trustplane.proof.verdict import ProofVerdict, Unclear, accepted_verdict, parse_verdict

PROBE_NAMESPACE: Final = "trustplane-system"
PROBE_ACCOUNT: Final = (
    "trustplane-probe"  # of our own: the namespace's default account appears some time after the namespace
)
PROBE_LABEL: Final = "trustplane.dev/component"
PROBE_COMPONENT: Final = "probe"
RUN_LABEL: Final = "trustplane.dev/probe-run"
EXPIRES_AT: Final = "trustplane.dev/expires-at"
PROBE_SELECTOR: Final = f"{PROBE_LABEL}={PROBE_COMPONENT}"

_MARGIN: Final = timedelta(minutes=1)  # beyond a run's own time limit, so that runs do not delete each other's pods
_PULL_FAILED: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"}
)
_BACK_OFF: Final = re.compile(r'Back-off pulling image "[^"]*"\s*')
# Of every probe pod.
_SPEC: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,  # nothing runs; and the pod of a dead node goes at once
        "tolerations": [{"operator": "Exists"}],
        "serviceAccountName": PROBE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
)
_AFTER_PULL: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
    | {"PreCreateHookError", "PreStartHookError", "PostStartHookError"}
)


def build_probe_pod(
    node: str,
    host: str,
    nonce: str,
    *,
    image: str | None = None,
    pull_secret: str | None = None,
    run: str = "",
    timeout: float = 60.0,
    now: datetime | None = None,
) -> Json:
    """Return the pod that makes one node's kubelet pull from one registry.

    Args:
        node: Name of the Node.
        host: The registry, `host` or `host:port`.
        nonce: Lower-case letters and digits, new for each probe.
        image: An image of that registry to pull for real; without it, one that does not exist.
        pull_secret: Name of a Secret of type `kubernetes.io/dockerconfigjson` in the probe's namespace.
        run: What all pods of one run have in common, as a label.
        timeout: Seconds that the run gives the probe.
        now: The time, for tests.
    """
    expires = (now or datetime.now(UTC)) + timedelta(seconds=timeout) + _MARGIN
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"probe-{nonce}",
            "namespace": PROBE_NAMESPACE,
            "labels": {PROBE_LABEL: PROBE_COMPONENT, "app.kubernetes.io/managed-by": "trustplane", RUN_LABEL: run},
            "annotations": {EXPIRES_AT: expires.isoformat(timespec="seconds")},
        },
        "spec": {
            "nodeName": node,
            "activeDeadlineSeconds": int(timeout) + int(_MARGIN.total_seconds()),
            **_SPEC,
            **({"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}),
            "containers": [_container(image or f"{host}/trustplane/probe:{nonce}")],
        },
    }


def _container(image: str) -> Json:
    return {
        "name": PROBE_CONTAINER,
        "image": image,
        "imagePullPolicy": "Always",  # otherwise the kubelet does not ask the registry for an image that it has
        "command": ["/trustplane-runs-nothing"],  # a real image is pulled, its program is not started
        # No request: a node that is full must be proven, too.
        "resources": {"requests": {"cpu": "0", "memory": "0"}, "limits": {"cpu": "50m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def probe_service_account() -> Json:
    """Return the account of probe pods; it has no rights and no token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": PROBE_ACCOUNT, "namespace": PROBE_NAMESPACE},
        "automountServiceAccountToken": False,
    }


def probe_namespace() -> Json:
    """Return the namespace of probe pods."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBE_NAMESPACE}}


def has_expired(expires_at: str, now: datetime) -> bool:
    """Tell whether the run that made this probe is over, by its annotation: whoever finds the pod deletes it."""
    try:
        return datetime.fromisoformat(expires_at) <= now
    except (ValueError, TypeError):
        return True


def probe_verdict(pod: ProbePod, events: Iterable[ProbeEvent] = ()) -> ProofVerdict | None:
    """Judge a probe by what its kubelet has reported so far.

    Args:
        pod: The probe pod, as the API server has it.
        events: Its events, oldest first. They are needed only where the kubelet does not repeat the reason of a failed
            pull in the container's state (before Kubernetes 1.32).

    Returns:
        None while the kubelet has said nothing about the pull.
    """
    image, state, events = pod.image, pod.state, list(events)
    waiting = state.waiting or ProbeWaiting()
    if _was_pulled(state) or any(_says_pulled(event) for event in events):
        return accepted_verdict(image.partition("/")[0], pulled=True)
    said = [event.text for event in events if _says_failed(event)]
    if waiting.reason in _PULL_FAILED:
        said.append(waiting.message)
    for text in reversed(said):
        if _is_reason(text):
            return parse_verdict(_bound(text, image), image.partition("/")[0])
    return _ended_early(pod, waiting)


def is_pull_event(event: ProbeEvent) -> bool:
    """Return whether an event reports the result of a pull."""
    return _says_failed(event) or _says_pulled(event)


def has_failed_pull(pod: ProbePod) -> bool:
    """Tell whether a pull has failed, whatever else the container's state says of it."""
    return pod.state.waiting is not None and pod.state.waiting.reason in _PULL_FAILED


def _bound(text: str, image: str) -> str:
    # The words are about this image whether they name it or not; `containers/image` often does not.
    return f'Failed to pull image "{image}": {text}'


def _was_pulled(state: ProbeState) -> bool:
    if state.running is not None:
        return True
    if state.terminated is not None:
        # Of a pod that was ended before its pull the kubelet says ContainerStatusUnknown, or gives no container.
        return state.terminated.reason not in ("ContainerStatusUnknown", None)
    return state.waiting is not None and state.waiting.reason in _AFTER_PULL


def _ended_early(pod: ProbePod, waiting: ProbeWaiting) -> ProofVerdict | None:
    status = pod.status
    if status.phase == "Failed":
        return Unclear(f"the kubelet ended the probe: {status.reason} {status.message}".strip())
    if waiting.reason in ("ImageInspectError", "InvalidImageName"):
        return Unclear(f"{waiting.reason}: {waiting.message}")
    return None


def _is_reason(text: str) -> bool:
    # `Back-off pulling image "..."` alone repeats nothing of why.
    return bool(text) and not _BACK_OFF.fullmatch(text)


def _says_failed(event: ProbeEvent) -> bool:
    return event.reason == "Failed" and event.text.startswith("Failed to pull image")


def _says_pulled(event: ProbeEvent) -> bool:
    # `already present on machine` would be no proof.
    return event.reason == "Pulled" and event.text.startswith("Successfully pulled image")
