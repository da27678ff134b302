"""The pods of a cluster that wait for an image, grouped by failure."""

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

LIST_SECONDS: Final = 20.0  # to list all pods of a cluster


@dataclass(frozen=True)
class PodGroup:
    """Pods of a cluster with the same failure, and the one that represents them."""

    first: Key
    pods: tuple[Key, ...]


async def failing_pods(client: Client) -> list[PodGroup]:
    """List the pods of a cluster that wait for an image, grouped by registry and by the causes that their texts fit.

    Raises:
        TransientError: The API server does not answer.
    """
    try:
        async with asyncio.timeout(LIST_SECONDS):
            pods = await client.list(PODS, fields="status.phase=Pending")
            pods += await client.list(PODS, fields="status.phase=Running")
    except TimeoutError as error:
        raise TransientError(
            f"The API server {client.server} does not answer", why=f"no answer in {LIST_SECONDS:g} s"
        ) from error
    groups: dict[object, list[Key]] = {}
    for pod in pods:
        texts = [message.text for message in messages_in(json.dumps(pod))]
        if texts:
            groups.setdefault(frozenset(map(_failure, texts)), []).append(key_of(pod))
    return [PodGroup(keys[0], tuple(keys)) for keys in groups.values()]


def _failure(text: str) -> object:
    explanation = explain(text)
    return registry_of(explanation.parsed.image), explanation.parsed.endpoint.address, explanation.codes
