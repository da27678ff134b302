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

from trustplane.api.annotations import ROLLOUT
from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.clusterapi import files
from trustplane.clusterapi.rollout import CONTROL_PLANE_REPLICAS, CONTROL_PLANE_STRATEGY
from trustplane.clusterapi.variable import SCHEMA, Trust, read
from trustplane.errors import TrustplaneError, UserError
from trustplane.trust.policy import IN_PLACE

API_VERSION: Final = "hooks.runtime.cluster.x-k8s.io/v1alpha1"
VARIABLE: Final = "trust"
_BUILTIN: Final = "builtin"
_TIMEOUT_SECONDS: Final = 10

Hook = Callable[[Json], Json]


def discovery(_request: Json) -> Json:
    """Say which hooks there are."""
    handlers = [_handler(one) for one in (*HOOKS, *IN_PLACE_HOOKS) if "/" in one]
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
    items = [_patch(item, values) for item, values in _templates(request)]
    return {"items": [item for item in items if item]}


def _patch(item: Json, values: Json) -> Json | None:
    template = item["object"]
    before, trust = files.of(template), _trust(values)
    after = files.merged(before, files.wanted(trust)) if trust else before
    # A merge patch, unlike a JSON patch, makes the parents that a template left out.
    patch = files.placed(template["kind"], after) if after != before else {}
    if _is_in_place(template, values):
        spec = patch.setdefault("spec", {}).setdefault("template", {}).setdefault("spec", {})
        spec["rollout"] = {"strategy": CONTROL_PLANE_STRATEGY}
    if not patch:
        return None
    return {
        "uid": item["uid"],
        "patchType": "JSONMergePatch",
        "patch": base64.b64encode(json.dumps(patch, separators=(",", ":")).encode()).decode(),
    }


def _is_in_place(template: Json, values: Json) -> bool:
    """Tell whether the machines of this control plane are to be updated in place: Cluster API asks for three."""
    if template["kind"] != "KubeadmControlPlaneTemplate" or not template["apiVersion"].endswith("/v1beta2"):
        return False
    annotations = _builtin(values, "cluster", "metadata", "annotations") or {}
    replicas = _builtin(values, "controlPlane", "replicas") or 0
    return annotations.get(ROLLOUT) == IN_PLACE and replicas >= CONTROL_PLANE_REPLICAS


def validate_topology(request: Json) -> Json:
    """Check that, after all patches, every machine gets the trust and nothing else is in its place."""
    return _answer("ValidateTopology", request, _validation)


def _validation(request: Json) -> Json:
    for item, values in _templates(request):
        if trust := _trust(values):
            files.check(files.of(item["object"]), files.wanted(trust))
    return {}


def _templates(request: Json) -> Iterable[tuple[Json, Json]]:
    """Yield each bootstrap template with the variables that hold for it.

    What is built in is said in parts: of the cluster for all templates, of its group of machines for each one.
    """
    for item in _list(request, "items"):
        if files.is_bootstrap_template(item.get("object")):
            common, own = _variables(request), _variables(item)
            builtin = {**(common.get(_BUILTIN) or {}), **(own.get(_BUILTIN) or {})}
            yield item, {**common, **own, _BUILTIN: builtin}


def _trust(values: Json) -> Trust | None:
    return read(values[VARIABLE], _builtin(values, "cluster", "name") or "") if VARIABLE in values else None


def _variables(holder: Json) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in _list(holder, "variables") if isinstance(one.get("name"), str)}


def _list(holder: Json, field: str) -> list[Json]:
    value = holder.get(field) or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UserError(f"Field {field} of the request is not a list of objects")
    return value


def _builtin(values: Json, *path: str) -> Any:
    return field(values, _BUILTIN, *path)


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


# Served by `server.inplace`, since they look at the management cluster and at nodes.
CAN_UPDATE_MACHINE: Final = "CanUpdateMachine/can-update-machine"
CAN_UPDATE_MACHINE_SET: Final = "CanUpdateMachineSet/can-update-machine-set"
UPDATE_MACHINE: Final = "UpdateMachine/update-machine"
IN_PLACE_HOOKS: Final = (CAN_UPDATE_MACHINE, CAN_UPDATE_MACHINE_SET, UPDATE_MACHINE)

HOOKS: Final[Mapping[str, Hook]] = {
    "Discovery": discovery,
    "DiscoverVariables/discover-variables": discover_variables,
    "GeneratePatches/generate-patches": generate_patches,
    "ValidateTopology/validate-topology": validate_topology,
}
