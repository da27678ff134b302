"""What goes wrong with a private registry, done for real: its files are replaced, and its container starts with them.

Whatever an end in the middle leaves broken, `trustplane local up` puts right.
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
_EXPIRED = dt.timedelta(hours=36)  # before the present: long enough to be seen in any time zone


def rekey(one: PrivateRegistry) -> None:
    """Make its CA anew, under the same name with another key; the server sends it after its own certificate."""
    folder = one.folder / "pki"
    for name in (f"{pki.AUTHORITY}.key", f"{pki.AUTHORITY}.crt"):
        (folder / name).unlink()
    registry.prepare_registry(one)
    served = folder / f"{registry.registry_leaf(one).name}.crt"
    files.write_atomically(served, served.read_bytes() + one.ca.read_bytes())


def expire(one: PrivateRegistry) -> None:
    """Have it serve a certificate whose time is over."""
    pki.issue_certificate(
        one.folder / "pki", registry.registry_leaf(one), dt.datetime.now(dt.UTC) - pki.LEAF_LIFE - _EXPIRED
    )


def change_password(one: PrivateRegistry) -> None:
    """Give its user another password, as a registry's owner does who rotates them."""
    files.write_atomically(one.password_file, secrets.token_urlsafe(24).encode(), mode=0o600)
    registry.prepare_registry(one)


def restart(stage: Stage, one: PrivateRegistry) -> None:
    """Start its container with the present files, and wait until it shakes hands."""
    asyncio.run(registry.run_registry(one, Podman(stage.stack)))

    def probe() -> tuple[bool, str]:
        served = dial(Address(one.address))
        return not served.failure, served.failure.message if served.failure else ""

    stage.story.until(f"{one.host} has started again", probe, seconds=START_SECONDS)
