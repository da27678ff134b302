"""Secret `<cluster>-ssh`: the SSH key of a cluster's nodes, generated once and kept for the cluster's lifetime."""

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
    """Return the public key of the cluster's nodes, one line in OpenSSH format; generate a missing key pair.

    An existing Secret is used and never changed, because nodes may already trust its key.

    Args:
        reader: Read first; may be a cache.
        client: Read last, and used for writing.
        tkc: The cluster.

    Raises:
        UserError: The Secret has no usable private key.
    """
    name, namespace = ssh_secret_name(tkc.metadata.name), tkc.metadata.namespace
    stored = await reader.find(SECRETS, name, namespace)
    if stored is None:
        stored = await client.find(SECRETS, name, namespace)
    if stored is None:
        try:
            stored = await client.create(SECRETS, _new_secret(tkc))
        except AlreadyExistsError:
            stored = await client.get(SECRETS, name, namespace)
    return derive_public_key(stored)


def derive_public_key(secret: Secret) -> str:
    """Derive the public key from the private one; the two can never differ.

    Raises:
        UserError: The Secret has no usable private key.
    """
    key = parse_private_key(secret.data, secret.metadata.name)
    try:
        # Skip the validation of RSA keys: it takes a second, and only the key's owner would be affected.
        private = load_ssh_private_key(key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(
            f"Secret {secret.metadata.name} has no usable SSH key",
            why=f"its key {PRIVATE_KEY_FIELD} is missing, encrypted, or not in OpenSSH format",
            next_step="Store an unencrypted OpenSSH private key there, or delete the Secret to generate a new key",
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
