"""The ValidatingWebhookConfiguration: which writes the webhook checks, and what happens if it does not respond.

Reasons: docs/adr/0008-admission.md.
Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from collections.abc import Mapping
from typing import Final

from trustplane.api import cluster, clusterapi, configuration
from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.meta import Json

NAME: Final = "trustplane-admission"
ADMISSION_PATH: Final = "/admission"
TIMEOUT_SECONDS: Final = 5

_SCOPE: Final = f"object.metadata.?annotations[?'{REGISTRY_SCOPE}']"
_NOT_DELETED = {"name": "not-deleted", "expression": "!has(object.metadata.deletionTimestamp)"}


def validating(client_config: Json, annotations: Mapping[str, str] | None = None) -> Json:
    """Return the configuration.

    Args:
        client_config: address of the webhook server: `caBundle`, and `url` or `service` without a path.
        annotations: of the configuration, such as a request to inject the CA bundle.
    """
    client = _with_path(client_config)
    webhooks = [
        _webhook("tkgserviceconfigurations", configuration.GROUP, ["*"], [_changed("object.spec.?trust", _SCOPE)]),
        _webhook(
            "tanzukubernetesclusters",
            configuration.GROUP,
            ["*"],
            [_changed("object.spec.?settings.?network.?trust", _SCOPE)],
        ),
        # The API server converts other versions into this one (matchPolicy Equivalent).
        _webhook("clusters", clusterapi.GROUP, [clusterapi.VERSION], [_changed("object.spec.?topology"), *_TOPOLOGY]),
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME, **({"annotations": dict(annotations)} if annotations else {})},
        "webhooks": [{**webhook, "clientConfig": client} for webhook in webhooks],
    }


def _with_path(client_config: Json) -> Json:
    if "url" in client_config:
        return {**client_config, "url": client_config["url"] + ADMISSION_PATH}
    return {**client_config, "service": {**client_config["service"], "path": ADMISSION_PATH}}


def _webhook(plural: str, group: str, versions: list[str], conditions: list[Json]) -> Json:
    return {
        "name": f"{plural}.trustplane.dev",
        "rules": [
            {
                "apiGroups": [group],
                "apiVersions": versions,
                "resources": [plural],  # without subresources: status is not checked
                "operations": ["CREATE", "UPDATE"],
                "scope": "*",
            }
        ],
        "matchPolicy": "Equivalent",
        "matchConditions": [_NOT_DELETED, *conditions],
        "failurePolicy": "Ignore",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }


def _changed(*fields: str) -> Json:
    """Return the match condition for changes of these fields; it skips other updates, such as the controllers'."""
    changes = [f"{field} != {field.replace('object.', 'oldObject.', 1)}" for field in fields]
    return {"name": "changed", "expression": " || ".join(["request.operation == 'CREATE'", *changes])}


_TRUST = "exists(variable, variable.name == 'trust')"
_POOLS = " || ".join(
    f"cluster.spec.?topology.?workers.?{kind}.orValue([]).exists(pool, pool.?variables.?overrides.orValue([]).{_TRUST})"
    for kind in ("machineDeployments", "machinePools")
)
_TOPOLOGY = (
    {
        "name": "uses-trust",
        "expression": "(request.operation == 'CREATE' ? [object] : [object, oldObject]).exists(cluster, "
        f"cluster.spec.?topology.?variables.orValue([]).{_TRUST}"
        f" || cluster.spec.?topology.?controlPlane.?variables.?overrides.orValue([]).{_TRUST} || {_POOLS})",
    },
    {
        # The trust of a TanzuKubernetesCluster was checked when that was written.
        "name": "not-made-by-trustplane",
        "expression": "!object.metadata.?ownerReferences.orValue([]).exists(owner, "
        f"owner.kind == '{cluster.KIND}' && owner.apiVersion.startsWith('{configuration.GROUP}/'))",
    },
)
