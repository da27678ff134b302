"""Secret `<cluster>-ssh`: the one key that opens the nodes of a cluster, made once and kept for the cluster's life."""

import base64

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from trustplane.api.annotations import CLUSTER_NAME_LABEL, COMPONENT_LABEL
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.clusterapi.owner import tkc_owner_reference
from trustplane.clusterapi.ssh_secret import PRIVATE_KEY_FIELD, PUBLIC_KEY_FIELD, parse_private_key, ssh_secret_name
from trustplane.errors import UserError
from trustplane.fleet.reading import Reader
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError
from trustplane.kube.kinds import SECRETS


async def ensure_ssh_key(reader: Reader, client: Client, tkc: TanzuKubernetesCluster) -> str:
    """Return the public key of the cluster's nodes, one line in OpenSSH format; make the key pair where there is none.

    A Secret that is there already is used and never changed: nodes may know its key.

    Args:
        reader: Where to look first.
        client: Where to look last, and to write.
        tkc: The cluster.

    Raises:
        UserError: The Secret holds no private key that can be read.
    """
    name, namespace = ssh_secret_name(tkc.metadata.name), tkc.metadata.namespace
    found = await reader.find(SECRETS, name, namespace)
    if found is None:
        found = await client.find(SECRETS, name, namespace)
    if found is None:
        try:
            found = await client.create(SECRETS, _new_secret(tkc))
        except AlreadyExistsError:
            found = await client.get(SECRETS, name, namespace)
    return derive_public_key(found)


def derive_public_key(secret: Secret) -> str:
    """Derive the public key from the private one, so that the two can never disagree.

    Raises:
        UserError: The Secret holds no private key that can be read.
    """
    key = parse_private_key(secret.data, secret.metadata.name)
    try:
        # Whether the numbers of an RSA key fit together is its owner's business: the check is a second of arithmetic.
        private = load_ssh_private_key(key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(
            f"Secret {secret.metadata.name} holds no SSH key that can be used",
            why=f"its key {PRIVATE_KEY_FIELD} is missing, encrypted, or not in OpenSSH's format",
            next_step="Put an unencrypted OpenSSH private key there, or delete the Secret to have a key made",
        ) from error
    return private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _new_secret(tkc: TanzuKubernetesCluster) -> Json:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return {
        "metadata": {
            "name": ssh_secret_name(tkc.metadata.name),
            "namespace": tkc.metadata.namespace,
            "labels": {CLUSTER_NAME_LABEL: tkc.metadata.name, COMPONENT_LABEL: "ssh"},
            "ownerReferences": [tkc_owner_reference(tkc)],
        },
        "type": "kubernetes.io/ssh-auth",
        "data": {
            PRIVATE_KEY_FIELD: base64.b64encode(private).decode(),
            PUBLIC_KEY_FIELD: base64.b64encode(public).decode(),
        },
    }
