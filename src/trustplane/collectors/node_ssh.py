"""The way onto a node over SSH, to look at it: its host key is compared, and never recorded."""

from typing import Final

from trustplane.api.clusterapi import Machine
from trustplane.clusterapi.machine_facts import address_of
from trustplane.collectors import disk
from trustplane.controllers.clustertrust_inspection import private_key
from trustplane.diagnosis.layer import Role
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.resource import Key
from trustplane.nodes import hostkey, ssh

NODE_SECONDS: Final = 8.0


async def look_at(
    client: Client, cluster: Key, machine: Machine, registry: str, wanted: list[tuple[Role, str]]
) -> disk.OnNode:
    """Look at the node of a Machine.

    Raises:
        TrustplaneError: It cannot be reached, refuses our key, or shows another key than the recorded one.
    """
    key = await private_key(client, cluster)
    if not key:
        raise TransientError("There is no SSH key of the cluster's nodes", why=f"no Secret {cluster.name}-ssh")
    async with ssh.connect(address_of(machine), key, timeout=NODE_SECONDS / 2) as node:
        hostkey.pin(machine, node.host_key)
        return await disk.look_at(node, registry, wanted, seconds=NODE_SECONDS)


def described(seen: disk.OnNode) -> str:
    """Say what was seen on a node."""
    found = seen.disk
    stale = {None: "not known", True: "no", False: "yes"}[found.is_stale]
    parts = (
        f"{len(found.roots)} files of certificates",
        f"containerd has loaded them: {stale}",
        f"its clock differs by {found.clock}" if found.clock else "its clock is right",
        *(_mirrors(path, text) for path, text in found.hosts_toml.items() if path.endswith("/hosts.toml")),
        *(f"its containerd asks {host} through the proxy {proxy}" for host, proxy in found.proxies.items()),
        *(f"is served {len(one.certificates)} certificates by {one.address}" for one in seen.hosts),
        *([f"is asked for credentials by the registry ({seen.challenge})"] if seen.challenge else []),
    )
    return "; ".join(parts)


def _mirrors(path: str, text: str) -> str:
    asked = disk.mirrors(text)
    return f"{path} names {', '.join(asked)}" if asked else f"{path} names no host"
