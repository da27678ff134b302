"""A pod that cannot pull: its images, what the kubelet says of them, and the pull secrets that it may show."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trustplane.api.meta import Json
from trustplane.diagnosis import credentials
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.evidence import Look, PullSecret, SecretState
from trustplane.diagnosis.messages import messages_in
from trustplane.diagnosis.reading import read
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.kinds import PODS, SECRETS, SERVICE_ACCOUNTS
from trustplane.kube.resource import Key, Resource
from trustplane.trust.policy import read_time

EVENTS: Resource[Json] = Resource("", "v1", "Event", "events", dict)
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_SHOWN = 10  # namespaces that are looked at for a name


@dataclass(frozen=True)
class Said:
    """What the kubelet said about one image, the latest first."""

    image: str
    messages: tuple[str, ...]
    at: datetime | None


@dataclass(frozen=True)
class Pod:
    """A pod, or what its events tell of one that is gone."""

    key: Key
    object: Json | None
    said: tuple[Said, ...]

    @property
    def node(self) -> str:
        """The node that it is on; "" where it is on none, or gone."""
        return str((self.object or {}).get("spec", {}).get("nodeName", ""))


async def read_pod(client: Client, key: Key) -> Pod:
    """Read a pod and its events; either may be gone."""
    found = await client.find(PODS, key.name, key.namespace)
    events = await client.list(EVENTS, key.namespace, fields=f"involvedObject.name={key.name}")
    return Pod(key, found, tuple(_said(found, events)))


def _said(pod: Json | None, events: list[Json]) -> Iterator[Said]:
    events = sorted(events, key=_when, reverse=True)
    spoken = [(message.text, _time(event)) for event in events for message in messages_in(json.dumps(event))]
    waiting = [message.text for message in messages_in(json.dumps(pod))] if pod else []
    named = [image for text in (*waiting, *(text for text, _ in spoken)) if (image := read(text)[0].image)]
    listed = _waiting_images(pod) if pod else []
    for image in dict.fromkeys((*listed, *named)):
        texts = [text for text in waiting if image in text] + [text for text, _ in spoken if image in text]
        secret = [text for text, _ in spoken if "image pull secret" in text]
        times = [at for text, at in spoken if image in text and at]
        yield Said(image, tuple(dict.fromkeys((*texts, *secret))), max(times, default=None))


def _waiting_images(pod: Json) -> list[str]:
    """Return the images, as the pod's author wrote them, of containers that wait for theirs."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    images = {one.get("name"): one.get("image", "") for kind in _CONTAINERS for one in spec.get(kind) or ()}
    found = (one for kind in _STATUSES for one in status.get(kind) or ())
    return [images[one["name"]] for one in found if one.get("name") in images and _waits(one)]


def _waits(container: Json) -> bool:
    return bool(messages_in(json.dumps({"kind": "Pod", "status": {"containerStatuses": [container]}})))


def _when(event: Json) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(one) for one in times if one), str(event.get("metadata", {}).get("creationTimestamp", "")))


def _time(event: Json) -> datetime | None:
    return read_time(_when(event))


async def pull_secrets(client: Client, pod: Json, image: str) -> tuple[PullSecret, ...]:
    """Judge the pull secrets of a pod, then those of its ServiceAccount that the pod does not name."""
    spec, namespace = pod.get("spec", {}), pod["metadata"]["namespace"]
    names = _names(spec)
    account = str(spec.get("serviceAccountName") or "default")
    found = await client.find(SERVICE_ACCOUNTS, account, namespace)
    others = [one for one in _names(found or {}) if one not in names]
    return (
        *[await _judged(client, Key(namespace, one), image, "the pod") for one in names],
        *[await _judged(client, Key(namespace, one), image, f"ServiceAccount {account}") for one in others],
    )


def _names(holder: Json) -> list[str]:
    return [str(one["name"]) for one in holder.get("imagePullSecrets") or () if one.get("name")]


async def _judged(client: Client, key: Key, image: str, named_by: str) -> PullSecret:
    found = await client.find(SECRETS, key.name, key.namespace)
    if found is None:
        elsewhere = await _namespaces(client, key.name)
        state = SecretState.ELSEWHERE if elsewhere else SecretState.MISSING
        return PullSecret(key.name, state, ", ".join(elsewhere[:_SHOWN]), named_by)
    state, detail = credentials.assess_secret(str(found.get("type", "")), found.get("data") or {}, image)
    return PullSecret(key.name, state, detail, named_by, _changed(found))


async def _namespaces(client: Client, name: str) -> list[str]:
    try:
        found = await client.list(SECRETS, fields=f"metadata.name={name}")
    except TrustplaneError:  # who may read one namespace only learns less
        return []
    return sorted(str(one["metadata"]["namespace"]) for one in found)


def _changed(found: dict[str, Any]) -> datetime | None:
    metadata = found["metadata"]
    times = [read_time(str(one.get("time", ""))) for one in metadata.get("managedFields") or ()]
    known = [one for one in times if one]
    return max(known, default=None) or read_time(str(metadata.get("creationTimestamp", "")))


def looks_of(pod: Pod) -> list[Look]:
    """Say what was found of a pod."""
    where = f"on node {pod.node}" if pod.node else "on no node"
    state = f"{pod.object.get('status', {}).get('phase', 'Unknown')}, {where}" if pod.object else "gone"
    count = sum(len(one.messages) for one in pod.said)
    registries = ", ".join(dict.fromkeys(registry_of(one.image) for one in pod.said))
    return [
        Look(f"pod {pod.key}", state, seen=pod.object is not None),
        Look("events", f"{count} different messages of failed pulls{f' from {registries}' if registries else ''}"),
    ]
