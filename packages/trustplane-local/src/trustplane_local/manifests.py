"""Cluster API's manifests, adapted to managers that run as processes of this machine."""

import copy
from collections.abc import Iterable

from trustplane.api.meta import Json

CRD = "CustomResourceDefinition"
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# Deployments, their RBAC and cert-manager's objects are useless outside a cluster.
KEPT_KINDS = (CRD, "Namespace", *WEBHOOKS)
_INJECTION = "cert-manager.io/inject-ca-from"


def adapt_manifests(objects: Iterable[Json], webhook_port: int, ca_bundle: str) -> list[Json]:
    """Return the objects that a Supervisor needs; webhooks get a URL of this machine instead of a Service.

    Args:
        objects: The rendered kustomization `config/default` of a Cluster API component.
        webhook_port: Port on 127.0.0.1 of the component's admission and conversion webhooks.
        ca_bundle: PEM certificate of the CA that issued the component's serving certificate, in base64.
    """
    return [_adapt(entry, webhook_port, ca_bundle) for entry in objects if entry and entry["kind"] in KEPT_KINDS]


def _adapt(original: Json, webhook_port: int, ca_bundle: str) -> Json:
    adapted = copy.deepcopy(original)
    adapted["metadata"].get("annotations", {}).pop(_INJECTION, None)
    for client in _client_configurations(adapted):
        path = client.pop("service").get("path", "")
        client |= {"url": f"https://127.0.0.1:{webhook_port}{path}", "caBundle": ca_bundle}
    return adapted


def _client_configurations(document: Json) -> list[Json]:
    """Return each clientConfig of a webhook configuration or of a CRD's conversion, for changes in place."""
    if document["kind"] in WEBHOOKS:
        return [webhook["clientConfig"] for webhook in document["webhooks"]]
    conversion = document.get("spec", {}).get("conversion", {}).get("webhook")
    return [conversion["clientConfig"]] if conversion else []
