"""Pods of a cluster that wait for an image, those that fail alike together."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.explanation import explain
from trustplane.diagnosis.messages import messages_in
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.kinds import PODS
from trustplane.kube.resource import Key, key_of

LIST_SECONDS: Final = 20.0  # all pods of a cluster


@dataclass(frozen=True)
class Failing:
    """Pods of a cluster that fail alike, and the one of them that is looked at."""

    first: Key
    pods: tuple[Key, ...]


async def failing_pods(client: Client) -> list[Failing]:
    """Find the pods of a cluster that wait for an image; those with equal registry and causes by the text are one.

    Raises:
        TransientError: The API server does not answer.
    """
    try:
        async with asyncio.timeout(LIST_SECONDS):
            found = await client.list(PODS, fields="status.phase=Pending")
            found += await client.list(PODS, fields="status.phase=Running")
    except TimeoutError as error:
        raise TransientError(
            f"The API server {client.server} does not answer", why=f"no answer in {LIST_SECONDS:g} s"
        ) from error
    groups: dict[object, list[Key]] = {}
    for one in found:
        texts = [message.text for message in messages_in(json.dumps(one))]
        if texts:
            groups.setdefault(frozenset(map(_likeness, texts)), []).append(key_of(one))
    return [Failing(keys[0], tuple(keys)) for keys in groups.values()]


def _likeness(text: str) -> object:
    told = explain(text)
    return registry_of(told.reading.image), told.reading.endpoint.address, told.codes
