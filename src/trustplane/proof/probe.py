"""The probe pod: the request to a node's kubelet, and the verdict from its report. Pure.

The pod is bound to its node, which bypasses scheduler, cordons and taints. It names an image that does not exist, or an
existing one for a real pull. Only the pull matters; the container must never run.

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
    "trustplane-probe"  # the namespace's default account would only appear some time after the namespace
)
PROBE_LABEL: Final = "trustplane.dev/component"
PROBE_COMPONENT: Final = "probe"
RUN_LABEL: Final = "trustplane.dev/probe-run"
EXPIRES_AT: Final = "trustplane.dev/expires-at"
PROBE_SELECTOR: Final = f"{PROBE_LABEL}={PROBE_COMPONENT}"

_MARGIN: Final = timedelta(minutes=1)  # added to a run's time limit, to prevent runs from deleting each other's pods
_PULL_FAILED: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"}
)
_BACK_OFF: Final = re.compile(r'Back-off pulling image "[^"]*"\s*')
_SPEC: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,  # nothing runs, and pods of dead nodes disappear immediately
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
    """Return a pod that makes one node's kubelet pull from one registry.

    Args:
        node: Name of the Node.
        host: The registry, `host` or `host:port`.
        nonce: Lower-case letters and digits, new for each probe.
        image: An existing image of that registry to pull; by default, one that does not exist.
        pull_secret: Name of a Secret of type `kubernetes.io/dockerconfigjson` in the probe's namespace.
        run: Label shared by all pods of one run.
        timeout: Seconds granted to the probe by the run.
        now: The current time, for tests.
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
        "imagePullPolicy": "Always",  # otherwise the kubelet skips the registry if the image is present
        "command": ["/trustplane-runs-nothing"],  # an existing image is pulled, but not started
        # No request: full nodes need a proof as well.
        "resources": {"requests": {"cpu": "0", "memory": "0"}, "limits": {"cpu": "50m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def probe_service_account() -> Json:
    """Return the service account of probe pods; it has no rights and no token."""
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
    """Return whether the run of a probe is over, by its annotation; any later run may delete the pod."""
    try:
        return datetime.fromisoformat(expires_at) <= now
    except (ValueError, TypeError):
        return True


def probe_verdict(pod: ProbePod, events: Iterable[ProbeEvent] = ()) -> ProofVerdict | None:
    """Return the verdict of a probe from its kubelet's reports so far.

    Args:
        pod: The probe pod, as the API server reports it.
        events: Its events, oldest first. They are needed only if the kubelet does not repeat the reason of a failed
            pull in the container's state (before Kubernetes 1.32).

    Returns:
        None until the kubelet has reported on the pull.
    """
    image, state, events = pod.image, pod.state, list(events)
    waiting = state.waiting or ProbeWaiting()
    if _was_pulled(state) or any(_reports_pull(event) for event in events):
        return accepted_verdict(image.partition("/")[0], pulled=True)
    messages = [event.text for event in events if _reports_failure(event)]
    if waiting.reason in _PULL_FAILED:
        messages.append(waiting.message)
    for text in reversed(messages):
        if _is_reason(text):
            return parse_verdict(_with_image(text, image), image.partition("/")[0])
    return _ended_early(pod, waiting)


def is_pull_event(event: ProbeEvent) -> bool:
    """Return whether an event reports the result of a pull."""
    return _reports_failure(event) or _reports_pull(event)


def has_failed_pull(pod: ProbePod) -> bool:
    """Return whether the container's state shows a failed pull, with or without a reason."""
    return pod.state.waiting is not None and pod.state.waiting.reason in _PULL_FAILED


def _with_image(text: str, image: str) -> str:
    # The message is about this image even if it does not name it, as often with `containers/image`.
    return f'Failed to pull image "{image}": {text}'


def _was_pulled(state: ProbeState) -> bool:
    if state.running is not None:
        return True
    if state.terminated is not None:
        # For a pod that ended before its pull, the kubelet reports ContainerStatusUnknown, or no container.
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
    # `Back-off pulling image "..."` alone gives no reason.
    return bool(text) and not _BACK_OFF.fullmatch(text)


def _reports_failure(event: ProbeEvent) -> bool:
    return event.reason == "Failed" and event.text.startswith("Failed to pull image")


def _reports_pull(event: ProbeEvent) -> bool:
    # `already present on machine` proves nothing.
    return event.reason == "Pulled" and event.text.startswith("Successfully pulled image")
