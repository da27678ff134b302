"""Cluster API's hooks for updates in place: a change of nothing but trust files needs no new machine.

Cluster API asks first whether a change can be made in place (CanUpdateMachine for a control plane's machine,
CanUpdateMachineSet for all machines of a MachineSet). It applies the patches of the answer to the current objects; what
differs from the desired ones after that makes it replace the machines. So an answer without a patch is a "no".

Source: sigs.k8s.io/cluster-api v1.14.2: api/runtime/hooks/v1alpha1/inplaceupdate_types.go, internal/util/inplace,
controlplane/kubeadm/reconcilers/kubeadmcontrolplane/inplace_canupdatemachine.go,
core/reconcilers/machinedeployment/machinedeployment_canupdatemachineset.go.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from trustplane.api.annotations import UPDATE_STRATEGY
from trustplane.api.fields import field, patch
from trustplane.api.meta import Json
from trustplane.clusterapi.inplace_files import TrustFile, trust_file
from trustplane.trust.policy import REPLACE

API_VERSION: Final = "hooks.runtime.cluster.x-k8s.io/v1alpha1"

# Of a Machine's spec these never hinder an update in place: internal/util/inplace, CleanupMachineSpecForDiff.
_IGNORED: Final = frozenset(
    {"clusterName", "bootstrap", "infrastructureRef", "providerID", "minReadySeconds", "readinessGates", "taints"}
)
_IGNORED_DELETION: Final = frozenset(
    {"nodeDrainTimeoutSeconds", "nodeVolumeDetachTimeoutSeconds", "nodeDeletionTimeoutSeconds"}
)


@dataclass(frozen=True)
class Decision:
    """Whether a change is made in place.

    Attributes:
        in_place: Nothing but trust files differs, and nobody asked for replacement.
        reason: Why not, as a sentence; empty where it is.
        files: The desired `files`, to take the place of the current ones; None where there are none.
    """

    in_place: bool
    reason: str = ""
    files: list[Json] | None = None


@dataclass(frozen=True)
class _Kind:
    """How the two hooks differ: the names of the objects and the path of what is compared."""

    hook: str
    machine: str
    infrastructure: str
    bootstrap: str
    path: tuple[str, ...]


_MACHINE: Final = _Kind("CanUpdateMachine", "machine", "infrastructureMachine", "bootstrapConfig", ("spec",))
_MACHINE_SET: Final = _Kind(
    "CanUpdateMachineSet",
    "machineSet",
    "infrastructureMachineTemplate",
    "bootstrapConfigTemplate",
    ("spec", "template", "spec"),
)


def can_update_machine(request: Json) -> Json:
    """Answer CanUpdateMachine: with a patch of the trust files, or with none."""
    return _answer(_MACHINE, request)


def can_update_machine_set(request: Json) -> Json:
    """Answer CanUpdateMachineSet: with a patch of the trust files, or with none."""
    return _answer(_MACHINE_SET, request)


def decide_machine(current: Json, desired: Json) -> Decision:
    """Decide about one Machine.

    Args:
        current: `machine`, `infrastructureMachine` and `bootstrapConfig`, as in a CanUpdateMachineRequest.
        desired: The same.
    """
    return _decide(_MACHINE, current, desired)


def decide_machine_set(current: Json, desired: Json) -> Decision:
    """Decide about the machines of a MachineSet.

    Args:
        current: `machineSet`, `infrastructureMachineTemplate` and `bootstrapConfigTemplate`, as in a
            CanUpdateMachineSetRequest.
        desired: The same.
    """
    return _decide(_MACHINE_SET, current, desired)


def refusal(*, is_set: bool) -> Json:
    """Answer that machines are to be replaced, whatever differs."""
    kind = _MACHINE_SET if is_set else _MACHINE
    return {"apiVersion": API_VERSION, "kind": f"{kind.hook}Response", "status": "Success"}


def _answer(kind: _Kind, request: Json) -> Json:
    answer: Json = {"apiVersion": API_VERSION, "kind": f"{kind.hook}Response", "status": "Success"}
    decision = _decide(kind, request.get("current") or {}, request.get("desired") or {})
    if decision.in_place:
        change = patch((*kind.path, "files"), decision.files)
        data = base64.b64encode(json.dumps(change, separators=(",", ":")).encode()).decode()
        answer[f"{kind.bootstrap}Patch"] = {"patchType": "JSONMergePatch", "patch": data}
    return answer


def _decide(kind: _Kind, current: Json, desired: Json) -> Decision:
    if _is_replace_wanted(kind, desired):
        return Decision(in_place=False, reason=f"Annotation {UPDATE_STRATEGY} is {REPLACE}")
    if _machine_spec(kind, current) != _machine_spec(kind, desired):
        return Decision(in_place=False, reason=f"The {kind.machine} differs in more than its trust files")
    if field(current.get(kind.infrastructure), *kind.path) != field(desired.get(kind.infrastructure), *kind.path):
        return Decision(in_place=False, reason=f"The {kind.infrastructure} differs")
    return _decide_files(_bootstrap(kind, current), _bootstrap(kind, desired))


def _decide_files(current: Json | None, desired: Json | None) -> Decision:
    if current is None or desired is None:
        return Decision(in_place=False, reason="There is no bootstrap configuration of kubeadm")
    if _without_files(current) != _without_files(desired):
        return Decision(in_place=False, reason="The bootstrap configuration differs in more than its files")
    before, after = current.get("files") or [], desired.get("files") or []
    if _others(before) != _others(after):
        return Decision(in_place=False, reason="Files other than trust files differ")
    if twice := _twice([*after]) or _twice([*before]):
        return Decision(in_place=False, reason=f"Two files have the path {twice}")
    return Decision(in_place=True, files=desired.get("files"))


def trust_files(files: Iterable[Json]) -> list[TrustFile]:
    """Return those of a KubeadmConfig's `files` that are trust files."""
    return [found for found in map(trust_file, files) if found]


def _others(files: Iterable[Json]) -> list[Json]:
    return [file for file in files if not trust_file(file)]


def _twice(files: Iterable[Json]) -> str:
    seen: set[str] = set()
    for path in (str(file.get("path", "")) for file in files):
        if path in seen:
            return path
        seen.add(path)
    return ""


def _without_files(spec: Json) -> Json:
    return {name: value for name, value in spec.items() if name != "files"}


def _bootstrap(kind: _Kind, objects: Json) -> Json | None:
    config = objects.get(kind.bootstrap)
    if not isinstance(config, dict) or config.get("kind") not in ("KubeadmConfig", "KubeadmConfigTemplate"):
        return None
    found = field(config, *kind.path)
    return {} if found is None else found


def _machine_spec(kind: _Kind, objects: Json) -> Json:
    spec = field(objects.get(kind.machine), *kind.path) or {}
    deletion = {name: value for name, value in (spec.get("deletion") or {}).items() if name not in _IGNORED_DELETION}
    kept = {name: value for name, value in spec.items() if name not in _IGNORED and name != "deletion"}
    return kept | ({"deletion": deletion} if deletion else {})


def _is_replace_wanted(kind: _Kind, desired: Json) -> bool:
    holders = [desired.get(name) for name in (kind.machine, kind.infrastructure, kind.bootstrap)]
    holders += [field(holder, "spec", "template") for holder in holders]
    annotations = [field(holder, "metadata", "annotations") or {} for holder in holders]
    return any(one.get(UPDATE_STRATEGY) == REPLACE for one in annotations)
