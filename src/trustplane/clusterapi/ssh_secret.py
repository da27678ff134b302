"""Secret `<cluster>-ssh`: where the key of a cluster's nodes is kept, as TKG Service names it. Pure."""

from typing import Final

PRIVATE_KEY: Final = "ssh-privatekey"  # the key that type kubernetes.io/ssh-auth asks for
PUBLIC_KEY: Final = "ssh-publickey"


def name_of(cluster: str) -> str:
    """Return the name of a cluster's Secret."""
    return f"{cluster}-ssh"
