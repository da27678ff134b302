"""`trustplane local`: the local stack."""

import asyncio
import base64
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from trustplane.api.clusterapi import kubeconfig_secret
from trustplane.cli.console import Console, console
from trustplane.cli.output import echo, echo_data, echo_json
from trustplane.errors import UserError
from trustplane_local.commands.terminal import Terminal
from trustplane_local.stack import Stack, default_folder
from trustplane_local.versions import VERSION_SETS, VERSIONS_VARIABLE, choose_versions

STATE = click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_folder,
    show_default="$TRUSTPLANE_STATE, or trustplane/default in $XDG_STATE_HOME or ~/.local/state",
    help="State folder of the stack. Each folder is a separate stack.",
    callback=lambda _context, _option, value: value.absolute(),
)

WIDE_COLUMNS = 200  # columns; long lines are not wrapped for pipes and wide terminals


def _default_cache() -> Path:
    from trustplane_local.toolchain import default_cache  # noqa: PLC0415 - keeps `--help` fast

    return default_cache()


CACHE = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=_default_cache,
    show_default="$TRUSTPLANE_CACHE, or trustplane in $XDG_CACHE_HOME or ~/.cache",
    help="Folder of the build cache, shared by all stacks.",
    callback=lambda _context, _option, value: value.absolute(),
)

VERSIONS = click.option(
    "--versions",
    type=click.Choice(list(VERSION_SETS)),
    show_default=f"${VERSIONS_VARIABLE}, or default",
    help="Version set: Kubernetes and Cluster API. An existing stack keeps its set.",
)


@click.group()
def command() -> None:
    """Run real Kubernetes clusters on this machine.

    A stack is a management cluster ("Supervisor") of local processes, two private registries, and clusters whose
    machines are podman containers. It lives in one folder, and `down` removes all of it. It needs root, and on the
    first run about 15 GiB of disk and ten minutes to build Kubernetes.

    \b
    Examples:
      trustplane local up
      export KUBECONFIG=$(trustplane local kubeconfig --path)
      kubectl get tanzukubernetesreleases
      trustplane local status
      trustplane local down
    """  # noqa: D301 - \b is click's mark for a paragraph without wrapping


@command.command()
@STATE
@CACHE
@VERSIONS
@click.option(
    "--subnet", default="", metavar="CIDR", help="A /18 for a new stack, instead of a free one of 198.18.0.0/15."
)
def up(folder: Path, cache: Path, versions: str | None, subnet: str) -> None:
    """Start the stack, or repair it.

    Builds missing programs, starts missing processes, restarts outdated ones, and changes nothing else. Repeat it
    after a crash, a reboot, an update of Trustplane, or Ctrl-C: it continues where it stopped.

    \b
    Examples:
      trustplane local up
      trustplane local up --state /srv/second        a second stack next to the first
      trustplane local up --subnet 10.200.0.0/18     addresses for machines and pods
      trustplane local up --versions capi-1.13       an older Cluster API and Kubernetes
    """  # noqa: D301
    from trustplane_local import neighbours  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local.up import start_stack as bring_up  # noqa: PLC0415

    if subnet:
        try:
            neighbours.parse_subnet(subnet)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--subnet") from error
    stack = bring_up(folder, cache, steps=_terminal(), subnet=subnet, versions=versions or "")
    echo(f"The stack is up. To use it: export KUBECONFIG={stack.kubeconfig}")


@command.command()
@STATE
def down(folder: Path) -> None:
    """Remove the stack: processes, containers, network, files. The build cache stays.

    Also removes incomplete stacks. Exits with an error that lists the leftovers, if any.
    """
    from trustplane_local.down import remove_stack as take_down  # noqa: PLC0415 - keeps `--help` fast

    removed = take_down(folder, _terminal())
    echo("The stack is removed." if removed else f"No stack in {folder}.")


@command.command()
@CACHE
@VERSIONS
def build(cache: Path, versions: str | None) -> None:
    """Build Kubernetes, Cluster API and the node image, without starting anything."""
    from trustplane_local.creation import build_programs_and_image as build_all  # noqa: PLC0415 - keeps `--help` fast

    programs, image = build_all(cache, choose_versions(versions or ""), _terminal())
    echo(f"Kubernetes {programs.kubernetes_version} in {programs.bin}, node image in {image.rootfs}")


@command.command()
@STATE
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format.",
)
def status(folder: Path, output: str) -> None:
    """Show the state of the stack. Exits with 0 only if every part is ready and every container is running."""
    from trustplane_local.commands import tables  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local.status import observe_stack  # noqa: PLC0415

    observed = asyncio.run(observe_stack(_load_stack(folder)))
    if output == "json":
        echo_json(msgspec.to_builtins(observed))
    else:
        tables.show_stack(console(width=WIDE_COLUMNS), observed)
    sys.exit(0 if observed.is_healthy else 1)


@command.command()
@STATE
@click.option("--path", is_flag=True, help="Print the path of the Supervisor's kubeconfig instead of its content.")
@click.argument("cluster", required=False)
def kubeconfig(folder: Path, cluster: str | None, *, path: bool) -> None:
    """Print the Supervisor's kubeconfig, or that of CLUSTER ([NAMESPACE/]NAME) as Cluster API wrote it.

    \b
    Examples:
      export KUBECONFIG=$(trustplane local kubeconfig --path)
      trustplane local kubeconfig dev/shop > shop.kubeconfig
    """  # noqa: D301
    stack = _load_stack(folder)
    if cluster is None:
        echo_data(str(stack.kubeconfig) if path else stack.kubeconfig.read_text(), nl=path)
        return
    namespace, _, name = cluster.rpartition("/")
    echo_data(asyncio.run(_workload_kubeconfig(stack, name, namespace or "default")).decode(errors="replace"), nl=False)


async def _workload_kubeconfig(stack: Stack, name: str, namespace: str) -> bytes:
    from trustplane_local.kubectl import Kubectl  # noqa: PLC0415 - keeps `--help` fast

    arguments = ("get", "secret", kubeconfig_secret(name), f"--namespace={namespace}", "--ignore-not-found")
    encoded = await Kubectl(stack).run(*arguments, "--output=jsonpath={.data.value}")
    if not encoded:
        raise UserError(
            f"No kubeconfig of cluster {namespace}/{name}",
            why="no such cluster exists, or it is a few seconds old and Cluster API has not written it yet",
            next_step="List the clusters with `trustplane local status`",
        )
    return base64.b64decode(encoded)


@command.command()
@STATE
@click.option("-n", "--lines", default=50, show_default=True, help="Number of lines to print, from the end.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.argument("part")
def logs(folder: Path, part: str, lines: int, *, follow: bool) -> None:
    """Print the log of PART: the name of a process, machine or registry, as shown by `status`."""
    from trustplane_local import logs as sources  # noqa: PLC0415 - keeps `--help` fast

    arguments, environment = asyncio.run(sources.log_command(_load_stack(folder), part, lines=lines, follow=follow))
    os.execvpe(arguments[0], arguments, environment)  # noqa: S606 - the viewer replaces this process


@command.command()
@STATE
@click.argument("name")
def kill(folder: Path, name: str) -> None:
    """Kill a machine or a load balancer, as a power cut would, to test how Cluster API reacts.

    NAME is the name of the Machine, or of the container as shown by `status`. Cluster API replaces a killed machine if
    a MachineHealthCheck covers it; `trustplane local up` starts it again.
    """
    from trustplane_local import naming  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local.podman import Podman  # noqa: PLC0415

    async def send_kill() -> str:
        podman = Podman(_load_stack(folder))
        container = naming.find_container(name, await podman.list())
        await podman.signal(container.name, "KILL")
        return container.name

    echo(f"Killed {asyncio.run(send_kill())}")


@command.command(hidden=True)
@STATE
def provider(folder: Path) -> None:
    """Run the stack's infrastructure provider. `up` starts it."""
    from trustplane.cli.service import run  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local import provider as infrastructure  # noqa: PLC0415

    stack = _load_stack(folder)
    run(lambda stop: infrastructure.run_provider(stack, stop))


def _load_stack(folder: Path) -> Stack:
    from trustplane_local.creation import load_stack  # noqa: PLC0415 - keeps `--help` fast

    stack = load_stack(folder)
    if stack is None:
        raise UserError(
            f"No stack in {folder}",
            next_step="Start one with `trustplane local up`, or choose another folder with --state",
        )
    return stack


def _terminal() -> Any:
    return Terminal(Console())
