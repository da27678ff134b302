"""Read a pod that cannot pull: its images, the kubelet's messages about them, and its pull secrets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.diagnosis import credentials
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.facts import CollectorReport, PullSecret, SecretState
from trustplane.diagnosis.message_parser import parse_message
from trustplane.diagnosis.messages import messages_in
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.kinds import PLAIN_SECRETS, PODS, SERVICE_ACCOUNTS
from trustplane.kube.resource import Resource
from trustplane.trust.recorded import parse_time

EVENTS: Resource[Json] = Resource("", "v1", "Event", "events", dict)
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_MAX_NAMESPACES = 10  # in a text


@dataclass(frozen=True)
class ImageMessages:
    """The kubelet's messages about one image, latest first, and the time of the latest event."""

    image: str
    messages: tuple[str, ...]
    at: datetime | None


@dataclass(frozen=True)
class Pod:
    """A pod, and the messages in its status and events; `object` is None if the pod was not found."""

    key: Key
    object: Json | None
    images: tuple[ImageMessages, ...]

    @property
    def node(self) -> str:
        """Return its node; "" if it is not scheduled or was not found."""
        return str((self.object or {}).get("spec", {}).get("nodeName", ""))


async def read_pod(client: Client, key: Key) -> Pod:
    """Read a pod and its events; either may be gone."""
    pod = await client.find(PODS, key.name, key.namespace)
    events = await client.list(EVENTS, key.namespace, fields=f"involvedObject.name={key.name}")
    return Pod(key, pod, tuple(_image_messages(pod, events)))


def _image_messages(pod: Json | None, events: list[Json]) -> Iterator[ImageMessages]:
    events = sorted(events, key=_time_text, reverse=True)
    from_events = [(message.text, _time(event)) for event in events for message in messages_in(json.dumps(event))]
    waiting = [message.text for message in messages_in(json.dumps(pod))] if pod else []
    named = [
        image for text in (*waiting, *(text for text, _ in from_events)) if (image := parse_message(text)[0].image)
    ]
    in_spec = _waiting_images(pod) if pod else []
    for image in dict.fromkeys((*in_spec, *named)):
        texts = [text for text in waiting if image in text] + [text for text, _ in from_events if image in text]
        warnings = [text for text, _ in from_events if "image pull secret" in text]
        times = [at for text, at in from_events if image in text and at]
        yield ImageMessages(image, tuple(dict.fromkeys((*texts, *warnings))), max(times, default=None))


def _waiting_images(pod: Json) -> list[str]:
    """Return the images, as in the pod's spec, of the containers that wait for them."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    images = {entry.get("name"): entry.get("image", "") for kind in _CONTAINERS for entry in spec.get(kind) or ()}
    statuses = (entry for kind in _STATUSES for entry in status.get(kind) or ())
    return [images[entry["name"]] for entry in statuses if entry.get("name") in images and _is_waiting(entry)]


def _is_waiting(container: Json) -> bool:
    return bool(messages_in(json.dumps({"kind": "Pod", "status": {"containerStatuses": [container]}})))


def _time_text(event: Json) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), str(event.get("metadata", {}).get("creationTimestamp", "")))


def _time(event: Json) -> datetime | None:
    return parse_time(_time_text(event))


async def assess_pull_secrets(client: Client, pod: Json, image: str) -> tuple[PullSecret, ...]:
    """Assess the pull secrets of a pod, then those that only its ServiceAccount names."""
    spec, namespace = pod.get("spec", {}), pod["metadata"]["namespace"]
    names = _secret_names(spec)
    account = str(spec.get("serviceAccountName") or "default")
    service_account = await client.find(SERVICE_ACCOUNTS, account, namespace)
    others = [name for name in _secret_names(service_account or {}) if name not in names]
    return (
        *[await _assess(client, Key(namespace, name), image, "the pod") for name in names],
        *[await _assess(client, Key(namespace, name), image, f"ServiceAccount {account}") for name in others],
    )


def _secret_names(spec: Json) -> list[str]:
    return [str(reference["name"]) for reference in spec.get("imagePullSecrets") or () if reference.get("name")]


async def _assess(client: Client, key: Key, image: str, named_by: str) -> PullSecret:
    secret = await client.find(PLAIN_SECRETS, key.name, key.namespace)
    if secret is None:
        elsewhere = await _namespaces(client, key.name)
        state = SecretState.ELSEWHERE if elsewhere else SecretState.MISSING
        return PullSecret(key.name, state, ", ".join(elsewhere[:_MAX_NAMESPACES]), named_by)
    state, detail = credentials.assess_secret(str(secret.get("type", "")), secret.get("data") or {}, image)
    return PullSecret(key.name, state, detail, named_by, _changed_at(secret))


async def _namespaces(client: Client, name: str) -> list[str]:
    try:
        secrets = await client.list(PLAIN_SECRETS, fields=f"metadata.name={name}")
    except TrustplaneError:  # a user with access to one namespace gets a less specific answer
        return []
    return sorted(str(secret["metadata"]["namespace"]) for secret in secrets)


def _changed_at(secret: dict[str, Any]) -> datetime | None:
    metadata = secret["metadata"]
    times = [parse_time(str(entry.get("time", ""))) for entry in metadata.get("managedFields") or ()]
    return max(filter(None, times), default=None) or parse_time(str(metadata.get("creationTimestamp", "")))


def pod_reports(pod: Pod) -> list[CollectorReport]:
    """Return the reports about a pod and its events."""
    place = f"on node {pod.node}" if pod.node else "on no node"
    state = f"{pod.object.get('status', {}).get('phase', 'Unknown')}, {place}" if pod.object else "not found"
    count = sum(len(image.messages) for image in pod.images)
    registries = ", ".join(dict.fromkeys(registry_of(image.image) for image in pod.images))
    return [
        CollectorReport(f"pod {pod.key}", state, is_available=pod.object is not None),
        CollectorReport(
            "events", f"{count} different messages about failed pulls{f' from {registries}' if registries else ''}"
        ),
    ]
