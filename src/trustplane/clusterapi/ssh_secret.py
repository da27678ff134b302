"""Secret `<cluster>-ssh`: where the key of a cluster's nodes is kept, as TKG Service names it. Pure."""

import base64
from collections.abc import Mapping
from typing import Final

from trustplane.errors import UserError

PRIVATE_KEY_FIELD: Final = "ssh-privatekey"  # the key that type kubernetes.io/ssh-auth asks for
PUBLIC_KEY_FIELD: Final = "ssh-publickey"

# A longer one is an RSA key of more than 4,096 bits: arithmetic with it takes seconds, in which nothing else runs.
MAX_PRIVATE_KEY_LENGTH: Final = 4096  # characters of a private key


def ssh_secret_name(cluster: str) -> str:
    """Return the name of a cluster's Secret."""
    return f"{cluster}-ssh"


def parse_private_key(data: Mapping[str, str], name: str) -> str:
    """Return the private key in a cluster's Secret; empty where it has none.

    Args:
        data: Of the Secret; values are base64, as on the wire.
        name: Of the Secret.

    Raises:
        UserError: It is no text, or longer than any key that is used.
    """
    try:
        key = base64.b64decode(data.get(PRIVATE_KEY_FIELD, "")).decode()
    except ValueError as error:  # of base64 or of the encoding
        raise _unreadable(name, "it is no text") from error
    if len(key) > MAX_PRIVATE_KEY_LENGTH:
        raise _unreadable(
            name, f"it has {len(key)} characters; Ed25519, or RSA of 4,096 bits, has up to {MAX_PRIVATE_KEY_LENGTH}"
        )
    return key


def _unreadable(name: str, why: str) -> UserError:
    return UserError(
        f"Key {PRIVATE_KEY_FIELD} of Secret {name} cannot be read",
        why=why,
        next_step="Put the unencrypted private key there that the nodes know; Ed25519 is what Trustplane makes",
    )
