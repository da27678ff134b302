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
    help="Folder of the stack. Another folder is another stack.",
    callback=lambda _context, _option, value: value.absolute(),
)

WIDE_COLUMNS = 200  # columns where nobody's terminal wraps lines


def _default_cache() -> Path:
    from trustplane_local.toolchain import default_cache  # noqa: PLC0415 - keeps `--help` fast

    return default_cache()


CACHE = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=_default_cache,
    show_default="$TRUSTPLANE_CACHE, or trustplane in $XDG_CACHE_HOME or ~/.cache",
    help="Folder of built programs, shared by stacks.",
    callback=lambda _context, _option, value: value.absolute(),
)

VERSIONS = click.option(
    "--versions",
    type=click.Choice(list(VERSION_SETS)),
    show_default=f"${VERSIONS_VARIABLE}, or default",
    help="Version set: Kubernetes and Cluster API. A stack keeps its set.",
)


@click.group()
def command() -> None:
    """Real Kubernetes clusters on this machine, with one command.

    A stack is a management cluster ("Supervisor") of local processes, two private registries, and clusters whose
    machines are podman containers. Everything is in one folder and goes with `down`. It needs root, and on the first
    run about 15 GiB of disk and some minutes to build Kubernetes.

    \b
    Examples:
      trustplane local up
      export KUBECONFIG=$(trustplane local kubeconfig --path)
      kubectl get tanzukubernetesreleases
      trustplane local status
      trustplane local down
    """  # noqa: D301 - \b is click's mark for a paragraph that is not to be wrapped


@command.command()
@STATE
@CACHE
@VERSIONS
@click.option(
    "--subnet", default="", metavar="CIDR", help="A /18 for a new stack, in place of a free one of 198.18.0.0/15."
)
def up(folder: Path, cache: Path, versions: str | None, subnet: str) -> None:
    """Start the stack, or repair it.

    Builds what is missing, starts what does not run, restarts what should run otherwise, and leaves the rest alone.
    Repeat it after a crash, a reboot, an update of Trustplane, or Ctrl-C: it goes on where it was.

    \b
    Examples:
      trustplane local up
      trustplane local up --state /srv/second        a second stack beside the first
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
    echo(f"The stack is up. Its kubeconfig: export KUBECONFIG={stack.kubeconfig}")


@command.command()
@STATE
def down(folder: Path) -> None:
    """Remove the stack: processes, containers, network, files. The build cache stays.

    Works on half-made stacks as well. Exits with an error where something is left, and lists it.
    """
    from trustplane_local.down import remove_stack as take_down  # noqa: PLC0415 - keeps `--help` fast

    removed = take_down(folder, _terminal())
    echo("The stack is gone." if removed else f"There is no stack in {folder}.")


@command.command()
@CACHE
@VERSIONS
def build(cache: Path, versions: str | None) -> None:
    """Build Kubernetes, Cluster API and the node image, and start nothing."""
    from trustplane_local.creation import build_programs_and_image as build_all  # noqa: PLC0415 - keeps `--help` fast

    programs, image = build_all(cache, choose_versions(versions or ""), _terminal())
    echo(f"Kubernetes {programs.kubernetes_version} in {programs.bin}, node image in {image.rootfs}")


@command.command()
@STATE
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(folder: Path, output: str) -> None:
    """Show what runs. Exits with 0 only when every part is ready and every container runs."""
    from trustplane_local.commands import tables  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local.status import observe_stack  # noqa: PLC0415

    observed = asyncio.run(observe_stack(_stack(folder)))
    if output == "json":
        echo_json(msgspec.to_builtins(observed))
    else:
        tables.show_stack(console(width=WIDE_COLUMNS), observed)
    sys.exit(0 if observed.healthy else 1)


@command.command()
@STATE
@click.option("--path", is_flag=True, help="Print where the Supervisor's kubeconfig is, in place of its content.")
@click.argument("cluster", required=False)
def kubeconfig(folder: Path, cluster: str | None, *, path: bool) -> None:
    """Print the Supervisor's kubeconfig, or that of CLUSTER ([NAMESPACE/]NAME), as Cluster API made it.

    \b
    Examples:
      export KUBECONFIG=$(trustplane local kubeconfig --path)
      trustplane local kubeconfig dev/shop > shop.kubeconfig
    """  # noqa: D301
    stack = _stack(folder)
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
            f"There is no kubeconfig of a cluster {namespace}/{name}",
            why="Cluster API makes it a few seconds after the cluster",
            next_step="`trustplane local status` lists the clusters",
        )
    return base64.b64decode(encoded)


@command.command()
@STATE
@click.option("-n", "--lines", default=50, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come, until Ctrl-C.")
@click.argument("part")
def logs(folder: Path, part: str, lines: int, *, follow: bool) -> None:
    """Print the log of PART: a process of the stack, a machine or a registry, by its name in `status`."""
    from trustplane_local import logs as sources  # noqa: PLC0415 - keeps `--help` fast

    arguments, environment = asyncio.run(sources.log_command(_stack(folder), part, lines=lines, follow=follow))
    os.execvpe(arguments[0], arguments, environment)  # noqa: S606 - the viewer takes our place


@command.command()
@STATE
@click.argument("name")
def kill(folder: Path, name: str) -> None:
    """Kill a machine or a load balancer, as a power cut would, and see what Cluster API makes of it.

    NAME is that of the Machine, or of the container in `status`. A killed machine is replaced where a
    MachineHealthCheck asks for it; `trustplane local up` starts it again.
    """
    from trustplane_local import naming  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local.podman import Podman  # noqa: PLC0415

    async def killed() -> str:
        podman = Podman(_stack(folder))
        found = naming.find_container(name, await podman.list())
        await podman.signal(found.name, "KILL")
        return found.name

    echo(f"{asyncio.run(killed())} was killed")


@command.command(hidden=True)
@STATE
def provider(folder: Path) -> None:
    """Run the infrastructure provider of the stack; `up` starts it."""
    from trustplane.cli.service import run  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local import provider as infrastructure  # noqa: PLC0415

    stack = _stack(folder)
    run(lambda stop: infrastructure.run_provider(stack, stop))


def _stack(folder: Path) -> Stack:
    from trustplane_local.creation import load_stack  # noqa: PLC0415 - keeps `--help` fast

    stack = load_stack(folder)
    if stack is None:
        raise UserError(
            f"There is no stack in {folder}",
            next_step="Start one with `trustplane local up`, or name another folder with --state",
        )
    return stack


def _terminal() -> Any:
    return Terminal(Console())
