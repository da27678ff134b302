"""Cluster API's topology mutation hooks: the variable `trust` becomes files of every machine.

Each hook is a function from the body of a request to the body of its response. The same request always gets the same
response, messages included. A request that cannot be answered gets `status: Failure` with a message.

Source: sigs.k8s.io/cluster-api/api v1.14.2, runtime/hooks/v1alpha1; the handbook's page "Implementing Topology
Mutation Hook Runtime Extensions".
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from trustplane.api.meta import Json
from trustplane.clusterapi import files
from trustplane.clusterapi.variable import SCHEMA, Trust, read
from trustplane.errors import TrustplaneError, UserError

API_VERSION: Final = "hooks.runtime.cluster.x-k8s.io/v1alpha1"
VARIABLE: Final = "trust"
_BUILTIN: Final = "builtin"
_TIMEOUT_SECONDS: Final = 10

Hook = Callable[[Json], Json]


def discovery(_request: Json) -> Json:
    """Say which hooks there are."""
    handlers = [_handler(one) for one in HOOKS if "/" in one]
    return _success("Discovery", handlers=handlers)


def _handler(key: str) -> Json:
    hook, _, name = key.partition("/")
    return {
        "name": name,
        "requestHook": {"apiVersion": API_VERSION, "hook": hook},
        "timeoutSeconds": _TIMEOUT_SECONDS,
        "failurePolicy": "Fail",  # a machine without its cluster's trust must not be made
    }


def discover_variables(_request: Json) -> Json:
    """Define the variable `trust`."""
    schema = {"openAPIV3Schema": SCHEMA}
    return _success("DiscoverVariables", variables=[{"name": VARIABLE, "required": False, "schema": schema}])


def generate_patches(request: Json) -> Json:
    """Append the trust files to the `files` of every KubeadmControlPlaneTemplate and KubeadmConfigTemplate."""
    return _answer("GeneratePatches", request, _patches)


def _patches(request: Json) -> Json:
    items = [_patch(item, trust) for item, trust in _templates(request)]
    return {"items": [item for item in items if item]}


def _patch(item: Json, trust: Trust) -> Json | None:
    template = item["object"]
    before = files.of(template)
    after = files.merged(before, files.wanted(trust))
    if after == before:
        return None
    # A merge patch, unlike a JSON patch, makes the parents that a template left out.
    patch = files.placed(template["kind"], after)
    return {
        "uid": item["uid"],
        "patchType": "JSONMergePatch",
        "patch": base64.b64encode(json.dumps(patch, separators=(",", ":")).encode()).decode(),
    }


def validate_topology(request: Json) -> Json:
    """Check that, after all patches, every machine gets the trust and nothing else is in its place."""
    return _answer("ValidateTopology", request, _validation)


def _validation(request: Json) -> Json:
    for item, trust in _templates(request):
        files.check(files.of(item["object"]), files.wanted(trust))
    return {}


def _templates(request: Json) -> Iterable[tuple[Json, Trust]]:
    """Yield each bootstrap template with the trust that its machines shall have."""
    for item in _list(request, "items"):
        if files.is_bootstrap_template(item.get("object")):
            values = {**_variables(request), **_variables(item)}
            if VARIABLE in values:
                yield item, read(values[VARIABLE], _cluster_name(values))


def _variables(holder: Json) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in _list(holder, "variables") if isinstance(one.get("name"), str)}


def _list(holder: Json, field: str) -> list[Json]:
    value = holder.get(field) or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UserError(f"Field {field} of the request is not a list of objects")
    return value


def _cluster_name(values: dict[str, Any]) -> str:
    builtin = values.get(_BUILTIN)
    cluster = builtin.get("cluster") if isinstance(builtin, dict) else None
    name = cluster.get("name") if isinstance(cluster, dict) else None
    return name if isinstance(name, str) else ""


def _answer(hook: str, request: Json, decide: Callable[[Json], Json]) -> Json:
    try:
        return _success(hook, **decide(request))
    except TrustplaneError as error:
        return _response(hook, status="Failure", message=str(error))
    except (KeyError, TypeError, AttributeError) as error:
        return _response(hook, status="Failure", message=f"The request is not a {hook}Request: {error!r}")


def _success(hook: str, **content: object) -> Json:
    return _response(hook, status="Success", **content)


def _response(hook: str, **content: object) -> Json:
    return {"apiVersion": API_VERSION, "kind": f"{hook}Response", **content}


HOOKS: Final[Mapping[str, Hook]] = {
    "Discovery": discovery,
    "DiscoverVariables/discover-variables": discover_variables,
    "GeneratePatches/generate-patches": generate_patches,
    "ValidateTopology/validate-topology": validate_topology,
}
