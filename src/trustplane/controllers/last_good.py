"""The service's last list without errors, kept in a Secret for the day when the list is broken (rule P10)."""

from trustplane.api.annotations import COMPONENT_LABEL
from trustplane.api.configuration import NAME
from trustplane.clusterapi import secret
from trustplane.controllers.resources import FIELD_MANAGER, SECRETS
from trustplane.kube.client import Client
from trustplane.trust.entries import TrustSet

LAST_GOOD_NAME = f"{NAME}-trust"


async def keep(client: Client, trust: TrustSet, *, namespace: str) -> None:
    """Write the set, unless it is what is kept already."""
    kept = await client.find(SECRETS, LAST_GOOD_NAME, namespace)
    if kept is not None and secret.read(kept) == trust:
        return
    body = {
        "metadata": {"name": LAST_GOOD_NAME, "namespace": namespace, "labels": {COMPONENT_LABEL: "service-trust"}},
        "type": "Opaque",
        "data": secret.content(trust),
    }
    await client.apply(SECRETS, body, manager=FIELD_MANAGER)
