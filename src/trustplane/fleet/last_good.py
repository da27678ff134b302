"""The service's last list without errors, kept in a Secret.

It is in force while the list is broken (rule P10) or left out, as after a deletion of the object.
"""

from typing import Protocol

from trustplane.api.annotations import COMPONENT_LABEL, TRUST_MERGE
from trustplane.api.configuration import NAME
from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.clusterapi import secret
from trustplane.kube.client import Client
from trustplane.kube.kinds import FIELD_MANAGER, SECRETS
from trustplane.kube.resource import Resource
from trustplane.trust.entries import EMPTY
from trustplane.trust.lists import LastGood

LAST_GOOD_SECRET = f"{NAME}-trust"


class _Reader(Protocol):
    async def find(self, resource: Resource[Secret], name: str, namespace: str = "") -> Secret | None:
        """Return a Secret, or None where it is absent."""


def is_last_good(key: Key, namespace: str) -> bool:
    """Tell whether a Secret is the one that keeps the list; `namespace`: Trustplane's own."""
    return key == Key(namespace, LAST_GOOD_SECRET)


async def find_last_good(reader: _Reader, *, namespace: str) -> LastGood | None:
    """Read what is kept; None where there is nothing."""
    return parse_last_good(await reader.find(SECRETS, LAST_GOOD_SECRET, namespace))


def parse_last_good(kept: Secret | None) -> LastGood | None:
    """Return what a Secret keeps."""
    return LastGood(secret.parse_set_secret(kept), kept.metadata.annotations.get(TRUST_MERGE, "")) if kept else None


async def store_last_good(client: Client, good: LastGood, *, namespace: str) -> None:
    """Write what is to be kept."""
    metadata = {"name": LAST_GOOD_SECRET, "namespace": namespace, "labels": {COMPONENT_LABEL: "service-trust"}}
    body = {
        "metadata": metadata | ({"annotations": {TRUST_MERGE: good.merge}} if good.merge else {}),
        "type": "Opaque",
        "data": secret.set_data(good.trust or EMPTY),
    }
    await client.apply(SECRETS, body, manager=FIELD_MANAGER)
