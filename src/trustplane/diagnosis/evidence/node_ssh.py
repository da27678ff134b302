"""Connect to a node over SSH to inspect it; its host key is compared with the pinned one, and never pinned here."""

from trustplane.api.clusterapi import Machine
from trustplane.api.keys import Key
from trustplane.clusterapi.machine_facts import ssh_address
from trustplane.diagnosis.evidence import disk
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.diagnosis.layer import Role
from trustplane.errors import TransientError
from trustplane.fleet.inspection import find_private_key
from trustplane.kube.client import Client
from trustplane.nodes import hostkey, ssh


async def inspect_machine(
    client: Client, cluster: Key, machine: Machine, registry: str, endpoints: list[tuple[Role, str]], limits: TimeLimits
) -> disk.NodeInspection:
    """Inspect the node of a Machine.

    Raises:
        TrustplaneError: The node is unreachable, rejects the SSH key, or its host key is not the pinned one.
    """
    key = await find_private_key(client, cluster)
    if not key:
        raise TransientError("The SSH key for the cluster's nodes is missing", why=f"no Secret {cluster.name}-ssh")
    async with ssh.connect(ssh_address(machine), key, timeout=limits.node / 2) as node:
        hostkey.check_host_key(machine, node.host_key)
        return await disk.inspect_node(node, registry, endpoints, limits)


def inspection_summary(inspection: disk.NodeInspection) -> str:
    """Return the result of an inspection as text for output."""
    files = inspection.disk
    is_loaded = {None: "unknown", True: "no", False: "yes"}[files.is_stale]
    parts = (
        f"{len(files.roots)} certificate files",
        f"loaded by containerd: {is_loaded}",
        f"clock off by {files.clock}" if files.clock else "clock right",
        *(_mirrors(path, text) for path, text in files.hosts_toml.items() if path.endswith("/hosts.toml")),
        *(f"containerd reaches {host} through the proxy {proxy}" for host, proxy in files.proxies.items()),
        *(f"{host.address} serves it {len(host.certificates)} certificates" for host in inspection.hosts),
        *([f"the registry asks for credentials ({inspection.challenge})"] if inspection.challenge else []),
    )
    return "; ".join(parts)


def _mirrors(path: str, text: str) -> str:
    urls = disk.mirrors(text)
    return f"{path} names {', '.join(urls)}" if urls else f"{path} names no host"
