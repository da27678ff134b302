"""Real faults of a private registry: its files are replaced, and its container restarts with them.

`trustplane local up` repairs a registry that an interrupted demo left broken.
"""

import asyncio
import datetime as dt
import secrets

from trustplane.registry.address import Address
from trustplane.registry.dial import dial
from trustplane_local import files, pki, registry
from trustplane_local.demo.stage import Stage
from trustplane_local.podman import Podman
from trustplane_local.registry import PrivateRegistry

START_SECONDS = 30
_EXPIRED = dt.timedelta(hours=36)  # ago: expired by the date in any time zone


def rekey(target: PrivateRegistry) -> None:
    """Replace the registry's CA by one of the same name with another key; the server adds it to the served chain."""
    folder = target.folder / "pki"
    for name in (f"{pki.AUTHORITY}.key", f"{pki.AUTHORITY}.crt"):
        (folder / name).unlink()
    registry.prepare_registry(target)
    chain = folder / f"{registry.registry_leaf(target).name}.crt"
    files.write_atomically(chain, chain.read_bytes() + target.ca.read_bytes())


def expire(target: PrivateRegistry) -> None:
    """Replace the registry's certificate by an expired one."""
    pki.issue_certificate(
        target.folder / "pki", registry.registry_leaf(target), dt.datetime.now(dt.UTC) - pki.LEAF_LIFE - _EXPIRED
    )


def change_password(target: PrivateRegistry) -> None:
    """Change the password of the registry's user, as a rotation by the registry's owner would."""
    files.write_atomically(target.password_file, secrets.token_urlsafe(24).encode(), mode=0o600)
    registry.prepare_registry(target)


def restart(stage: Stage, target: PrivateRegistry) -> None:
    """Start the registry's container with its current files, and wait until TLS handshakes succeed."""
    asyncio.run(registry.run_registry(target, Podman(stage.stack)))

    def probe() -> tuple[bool, str]:
        dialled = dial(Address(target.address))
        return not dialled.failure, dialled.failure.message if dialled.failure else ""

    stage.story.wait_until(f"{target.host} has restarted", probe, seconds=START_SECONDS)
