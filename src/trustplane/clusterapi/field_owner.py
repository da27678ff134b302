"""Who owns `spec.files` of a KubeadmConfig. Pure.

Cluster API applies KubeadmConfigs on the server. A field that belongs to another writer it can change by force, but not
remove; so what we wrote is given back to it.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ (field management), and
sigs.k8s.io/cluster-api v1.14.2, controlplane/kubeadm/reconcilers/kubeadmcontrolplane (kcpManagerName).
"""

import copy
from collections.abc import Sequence
from typing import Final

from trustplane.api.meta import Json

OWNER: Final = "capi-kubeadmcontrolplane"
OURS: Final = "trustplane"  # what the API server takes from the User-Agent of our patches
_FILES: Final = "f:files"


def is_borrowed(managed: Sequence[Json]) -> bool:
    """Tell whether the field belongs to us and can be given back.

    Args:
        managed: `metadata.managedFields` of the KubeadmConfig.
    """
    return any(_is(one, OURS, "Update") and _FILES in _spec(one) for one in managed) and _owners(managed) != []


def handed_back(managed: Sequence[Json]) -> list[Json]:
    """Return the entries with the field in Cluster API's; one of ours that is empty then is left out."""
    entries = copy.deepcopy([*managed])
    for one in entries:
        if _is(one, OURS, "Update"):
            _spec(one).pop(_FILES, None)
            if not _spec(one):
                one.get("fieldsV1", {}).pop("f:spec", None)
    _owners(entries)[0].setdefault("fieldsV1", {}).setdefault("f:spec", {})[_FILES] = {}
    return [one for one in entries if one.get("fieldsV1") or not _is(one, OURS, "Update")]


def _owners(managed: Sequence[Json]) -> list[Json]:
    return [one for one in managed if _is(one, OWNER, "Apply")]


def _is(entry: Json, manager: str, operation: str) -> bool:
    return (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (manager, operation, "")


def _spec(entry: Json) -> Json:
    found: Json = entry.get("fieldsV1", {}).get("f:spec", {})
    return found
