"""The load balancer of one cluster's control plane: haproxy in a container.

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
    # Connections through an old process, after a reload, may go on this long.
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
    """Return the container's name; a machine's has one underscore, as no load balancer's has."""
    return f"lb__{key.namespace}_{key.name}"


def load_balancer_folder(stack: Stack, key: Key) -> Path:
    """Return the folder of the configuration."""
    return stack.folder / "loadbalancers" / f"{key.namespace}_{key.name}"


def backends(stack: Stack, cluster: Key, machines: Iterable[LocalMachine]) -> list[Backend]:
    """Return the control plane machines of that Cluster which have an address and are to stay."""
    return sorted(
        Backend(one.metadata.name, stack.address(one.spec.index))
        for one in machines
        if cluster_key(one.metadata) == cluster
        and CONTROL_PLANE_LABEL in one.metadata.labels
        and one.metadata.deletion_timestamp is None
        and one.spec.index
    )


def haproxy_configuration(behind: Sequence[Backend]) -> str:
    """Return haproxy's configuration. API servers are asked over HTTPS; connections are passed through as they are."""
    return _TEMPLATE.render(port=PORT, backends=behind)


def load_balancer_container(stack: Stack, key: Key, index: int) -> DesiredContainer:
    """Return the container: a haproxy that needs no privilege."""
    return DesiredContainer(
        name=load_balancer_name(key),
        command=("/usr/sbin/haproxy", "-W", "-db", "-f", f"{_INSIDE}/haproxy.cfg"),
        address=stack.address(index),
        labels={ROLE_LABEL: LOAD_BALANCER_ROLE, NAMESPACE_LABEL: key.namespace, NAME_LABEL: key.name},
        mounts=(Mount(load_balancer_folder(stack, key), _INSIDE),),
        options=("--hostname", f"{key.name[:60]}-lb", "--systemd=false", "--cap-drop=all"),
    )


async def ensure_load_balancer(podman: Podman, stack: Stack, key: Key, index: int, config: str) -> None:
    """Have the load balancer run with that configuration; nothing is done where it does.

    What the running haproxy has read is noted in the file `loaded`, after it was told: after a crash in between it is
    told again.
    """
    place = load_balancer_folder(stack, key)
    place.mkdir(parents=True, exist_ok=True)
    files.write_atomically(place / "haproxy.cfg", config.encode())
    found = await podman.find(load_balancer_name(key), recently=LIST_SECONDS)
    if found is None or not found.is_running:
        await podman.run(load_balancer_container(stack, key, index))
        found = await podman.find(load_balancer_name(key))
    elif not _has_loaded(place, found, config):
        await podman.signal(found.name, "USR2")
    if found is not None:
        files.write_atomically(place / "loaded", _loaded(found, config))


async def remove_load_balancer(podman: Podman, stack: Stack, key: Key) -> None:
    """Remove the load balancer and its configuration; absent ones are fine."""
    await podman.remove(load_balancer_name(key))
    shutil.rmtree(load_balancer_folder(stack, key), ignore_errors=True)


def _loaded(found: ObservedContainer, config: str) -> bytes:
    return f"{found.id} {hashlib.sha256(config.encode()).hexdigest()}\n".encode()


def _has_loaded(place: Path, found: ObservedContainer, config: str) -> bool:
    note = place / "loaded"
    return note.exists() and note.read_bytes() == _loaded(found, config)
