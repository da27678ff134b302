"""Secret `<cluster>-ssh` with the SSH key of a cluster's nodes, named as in TKG Service. Pure."""

import base64
from collections.abc import Mapping
from typing import Final

from trustplane.errors import UserError

PRIVATE_KEY_FIELD: Final = "ssh-privatekey"  # required by type kubernetes.io/ssh-auth
PUBLIC_KEY_FIELD: Final = "ssh-publickey"

# A longer key is RSA with more than 4,096 bits: its arithmetic would block the event loop for seconds.
MAX_PRIVATE_KEY_LENGTH: Final = 4096  # characters in a private key


def ssh_secret_name(cluster: str) -> str:
    """Return the name of a cluster's Secret."""
    return f"{cluster}-ssh"


def parse_private_key(data: Mapping[str, str], name: str) -> str:
    """Return the private key in a cluster's Secret; empty if the Secret has none.

    Args:
        data: Data of the Secret, with values in base64.
        name: Name of the Secret.

    Raises:
        UserError: The value is not text, or longer than any supported key.
    """
    try:
        key = base64.b64decode(data.get(PRIVATE_KEY_FIELD, "")).decode()
    except ValueError as error:  # invalid base64 or UTF-8
        raise _unreadable(name, "it is not text") from error
    if len(key) > MAX_PRIVATE_KEY_LENGTH:
        raise _unreadable(
            name, f"it has {len(key)} characters; an Ed25519 or 4,096-bit RSA key has at most {MAX_PRIVATE_KEY_LENGTH}"
        )
    return key


def _unreadable(name: str, why: str) -> UserError:
    return UserError(
        f"Key {PRIVATE_KEY_FIELD} of Secret {name} cannot be read",
        why=why,
        next_step="Store the unencrypted private key that the nodes accept, preferably Ed25519",
    )
