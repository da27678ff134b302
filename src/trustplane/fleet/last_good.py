"""Store the service's last good list in a Secret.

Clusters use it while the current list has errors (rule P10) or is absent, for example because the object was deleted.
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
from trustplane.trust.entries import EMPTY_SET
from trustplane.trust.list_sources import LastGoodList

LAST_GOOD_SECRET = f"{NAME}-trust"


class _Reader(Protocol):
    async def find(self, resource: Resource[Secret], name: str, namespace: str = "") -> Secret | None:
        """Return a Secret, or None if it is absent."""


def is_last_good(key: Key, namespace: str) -> bool:
    """Return whether a Secret is the one with the last good list; `namespace` is Trustplane's namespace."""
    return key == Key(namespace, LAST_GOOD_SECRET)


async def find_last_good(reader: _Reader, *, namespace: str) -> LastGoodList | None:
    """Read the last good list; None if it is absent."""
    return parse_last_good(await reader.find(SECRETS, LAST_GOOD_SECRET, namespace))


def parse_last_good(kept: Secret | None) -> LastGoodList | None:
    """Return the last good list in a Secret."""
    return LastGoodList(secret.parse_set_secret(kept), kept.metadata.annotations.get(TRUST_MERGE, "")) if kept else None


async def store_last_good(client: Client, good: LastGoodList, *, namespace: str) -> None:
    """Store the last good list."""
    metadata = {"name": LAST_GOOD_SECRET, "namespace": namespace, "labels": {COMPONENT_LABEL: "service-trust"}}
    body = {
        "metadata": metadata | ({"annotations": {TRUST_MERGE: good.merge}} if good.merge else {}),
        "type": "Opaque",
        "data": secret.set_data(good.trust or EMPTY_SET),
    }
    await client.apply(SECRETS, body, manager=FIELD_MANAGER)
