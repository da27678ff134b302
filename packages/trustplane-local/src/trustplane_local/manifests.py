"""Cluster API's own manifests, fitted to managers that run as processes of this machine."""

import copy
from collections.abc import Iterable

from trustplane.api.meta import Json

CRD = "CustomResourceDefinition"
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# Deployments, their RBAC and cert-manager's objects have no meaning outside a cluster.
KEPT_KINDS = (CRD, "Namespace", *WEBHOOKS)
_INJECTION = "cert-manager.io/inject-ca-from"


def adapt_manifests(objects: Iterable[Json], webhook_port: int, ca_bundle: str) -> list[Json]:
    """Return the objects that a Supervisor needs, each webhook at a port of this machine in place of a Service.

    Args:
        objects: what `config/default` of a Cluster API component renders to.
        webhook_port: where that component's webhooks and conversions listen on 127.0.0.1.
        ca_bundle: base64 of the PEM certificate that signed the component's serving certificate.
    """
    return [_fitted(one, webhook_port, ca_bundle) for one in objects if one and one["kind"] in KEPT_KINDS]


def _fitted(original: Json, webhook_port: int, ca_bundle: str) -> Json:
    fitted = copy.deepcopy(original)
    fitted["metadata"].get("annotations", {}).pop(_INJECTION, None)
    for client in _client_configurations(fitted):
        path = client.pop("service").get("path", "")
        client |= {"url": f"https://127.0.0.1:{webhook_port}{path}", "caBundle": ca_bundle}
    return fitted


def _client_configurations(document: Json) -> list[Json]:
    """Return every clientConfig of a webhook configuration or of a CRD's conversion, to be changed in place."""
    if document["kind"] in WEBHOOKS:
        return [webhook["clientConfig"] for webhook in document["webhooks"]]
    conversion = document.get("spec", {}).get("conversion", {}).get("webhook")
    return [conversion["clientConfig"]] if conversion else []
