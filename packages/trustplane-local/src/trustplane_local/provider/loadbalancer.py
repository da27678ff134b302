"""The load balancer for a cluster's control plane: haproxy in a container.

Source: the management guide of haproxy 2.6, chapters 3 (master-worker) and 4 (reload by SIGUSR2).
"""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from trustplane.api.keys import Key
from trustplane_local import files
from trustplane_local.podman import LIST_SECONDS, DesiredContainer, Mount, ObservedContainer, Podman
from trustplane_local.provider.instance import NAME_LABEL, NAMESPACE_LABEL, ROLE_LABEL
from trustplane_local.provider.objects import CONTROL_PLANE_LABEL, LocalMachine, cluster_key
from trustplane_local.stack import Stack

PORT = 6443
LOAD_BALANCER_ROLE = "load-balancer"
_INSIDE = "/etc/load-balancer"

_TEMPLATE = jinja2.Environment(  # noqa: S701 - a configuration file, not HTML
    undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
).from_string("""\
global
    log stdout format raw local0 notice
    # Limit for connections through the old process after a reload.
    hard-stop-after 10m

defaults
    mode tcp
    log global
    option dontlognull
    timeout connect 3s
    timeout check 3s
    # Watches are silent for minutes.
    timeout client 1h
    timeout server 1h

frontend control-plane
    bind :{{ port }}
    default_backend control-plane

backend control-plane
    option httpchk GET /readyz
    http-check expect status 200
    option redispatch 1
    default-server check check-ssl verify none inter 2s fastinter 500ms downinter 500ms fall 3 rise 1
{% for backend in backends %}
    server {{ backend.name }} {{ backend.address }}:{{ port }}
{% endfor %}
""")


@dataclass(frozen=True, order=True)
class Backend:
    """A control plane machine."""

    name: str
    address: str


def load_balancer_name(key: Key) -> str:
    """Return the container's name. It differs from all machines' names, which contain only one underscore."""
    return f"lb__{key.namespace}_{key.name}"


def load_balancer_folder(stack: Stack, key: Key) -> Path:
    """Return the folder of the configuration."""
    return stack.folder / "loadbalancers" / f"{key.namespace}_{key.name}"


def backends(stack: Stack, cluster: Key, machines: Iterable[LocalMachine]) -> list[Backend]:
    """Return the control plane machines of a Cluster that have an address and are not being deleted."""
    return sorted(
        Backend(machine.metadata.name, stack.address(machine.spec.index))
        for machine in machines
        if cluster_key(machine.metadata) == cluster
        and CONTROL_PLANE_LABEL in machine.metadata.labels
        and machine.metadata.deletion_timestamp is None
        and machine.spec.index
    )


def haproxy_configuration(backends: Sequence[Backend]) -> str:
    """Return haproxy's configuration: health checks over HTTPS, connections passed through unchanged."""
    return _TEMPLATE.render(port=PORT, backends=backends)


def load_balancer_container(stack: Stack, key: Key, index: int) -> DesiredContainer:
    """Return the container: haproxy without privileges."""
    return DesiredContainer(
        name=load_balancer_name(key),
        command=("/usr/sbin/haproxy", "-W", "-db", "-f", f"{_INSIDE}/haproxy.cfg"),
        address=stack.address(index),
        labels={ROLE_LABEL: LOAD_BALANCER_ROLE, NAMESPACE_LABEL: key.namespace, NAME_LABEL: key.name},
        mounts=(Mount(load_balancer_folder(stack, key), _INSIDE),),
        options=("--hostname", f"{key.name[:60]}-lb", "--systemd=false", "--cap-drop=all"),
    )


async def ensure_load_balancer(podman: Podman, stack: Stack, key: Key, index: int, config: str) -> None:
    """Start the load balancer, or reload it if it runs with another configuration.

    The file `loaded` records the configuration of the running haproxy. It is written after the reload: a crash between
    the two only causes another reload.
    """
    place = load_balancer_folder(stack, key)
    place.mkdir(parents=True, exist_ok=True)
    files.write_atomically(place / "haproxy.cfg", config.encode())
    observed = await podman.find(load_balancer_name(key), recently=LIST_SECONDS)
    if observed is None or not observed.is_running:
        await podman.run(load_balancer_container(stack, key, index))
        observed = await podman.find(load_balancer_name(key))
    elif not _has_loaded(place, observed, config):
        await podman.signal(observed.name, "USR2")
    if observed is not None:
        files.write_atomically(place / "loaded", _loaded(observed, config))


async def remove_load_balancer(podman: Podman, stack: Stack, key: Key) -> None:
    """Remove the load balancer and its configuration, if they exist."""
    await podman.remove(load_balancer_name(key))
    shutil.rmtree(load_balancer_folder(stack, key), ignore_errors=True)


def _loaded(observed: ObservedContainer, config: str) -> bytes:
    return f"{observed.id} {hashlib.sha256(config.encode()).hexdigest()}\n".encode()


def _has_loaded(place: Path, observed: ObservedContainer, config: str) -> bool:
    record = place / "loaded"
    return record.exists() and record.read_bytes() == _loaded(observed, config)
