"""UpdateMachine: what is to be done on which machine, and the answers. The doing is `nodes.trust`.

Cluster API sends the desired objects without status, again and again, until the answer is "done" (Success without
`retryAfterSeconds`). The message of an answer "in progress" ends in the Machine's condition Updating.

Source: sigs.k8s.io/cluster-api v1.14.2, core/reconcilers/machine/machine_controller_inplace_update.go.
"""

from dataclasses import dataclass
from typing import Final

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.meta import Json
from trustplane.clusterapi.inplace import API_VERSION, trust_files
from trustplane.clusterapi.inplace_files import TrustFile
from trustplane.errors import TransientError, UserError

# Types of a Machine's addresses at which SSH can be reached, best first: api/core/v1beta2, MachineAddressType.
_ADDRESS_TYPES: Final = ("InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS")


@dataclass(frozen=True)
class MachineUpdate:
    """What an UpdateMachineRequest asks for.

    Attributes:
        namespace: Of the Machine, its Secrets and its Cluster.
        name: Of the Machine.
        cluster: Name of the Cluster; its SSH key is in Secret `<cluster>-ssh`.
        bootstrap_secret: Name of the Secret with the data that the machine was made with; may be empty.
        files: The trust files that the machine shall have, and no others of ours.
    """

    namespace: str
    name: str
    cluster: str
    bootstrap_secret: str
    files: tuple[TrustFile, ...]

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the Secrets that hold the content of the files."""
        return frozenset(file.secret for file in self.files if file.secret)


def read(request: Json) -> MachineUpdate:
    """Read an UpdateMachineRequest.

    Raises:
        UserError: It is not one, or not of a machine that kubeadm bootstraps.
    """
    desired = request.get("desired") or {}
    machine, config = desired.get("machine") or {}, desired.get("bootstrapConfig") or {}
    metadata, spec = machine.get("metadata") or {}, machine.get("spec") or {}
    if not metadata.get("name") or not metadata.get("namespace"):
        raise UserError("The UpdateMachineRequest names no Machine")
    if config.get("kind") != "KubeadmConfig":
        raise UserError(
            f"Machine {metadata['name']} cannot be updated in place",
            why=f"its bootstrap configuration is {config.get('kind') or 'absent'}, not KubeadmConfig",
            next_step="Delete the Machine: its replacement has the new trust",
        )
    return MachineUpdate(
        namespace=metadata["namespace"],
        name=metadata["name"],
        cluster=spec.get("clusterName") or (metadata.get("labels") or {}).get(CLUSTER_NAME_LABEL, ""),
        bootstrap_secret=(spec.get("bootstrap") or {}).get("dataSecretName") or "",
        files=tuple(trust_files((config.get("spec") or {}).get("files") or [])),
    )


def address(machine: Json) -> str:
    """Return where a Machine is reached.

    Args:
        machine: As the API server has it, with status; a request has none.

    Raises:
        TransientError: Its infrastructure provider has reported no address yet.
    """
    found = (machine.get("status") or {}).get("addresses") or []
    for wanted in _ADDRESS_TYPES:
        for one in found:
            if one.get("type") == wanted and one.get("address"):
                return str(one["address"])
    raise TransientError(
        f"Machine {machine.get('metadata', {}).get('name', '')} has no address",
        why="its infrastructure provider has reported none in status.addresses",
        next_step="It is tried again by itself; see the infrastructure machine if this lasts",
    )


def done(message: str = "") -> Json:
    """Answer that the machine is as desired."""
    return _response(status="Success", message=message, retryAfterSeconds=0)


def in_progress(message: str, *, retry_after: int = 1) -> Json:
    """Answer that the machine is on its way there.

    Args:
        message: What is being waited for; the same for the same state.
        retry_after: Seconds until Cluster API asks again, at least 1.
    """
    return _response(status="Success", message=message, retryAfterSeconds=max(1, retry_after))


def failed(message: str) -> Json:
    """Answer that the update cannot be made as things are; Cluster API asks again with backoff."""
    return _response(status="Failure", message=message)


def _response(**content: object) -> Json:
    return {"apiVersion": API_VERSION, "kind": "UpdateMachineResponse", **content}
