"""The state and helpers that all acts share: clusters, registries, and Trustplane's own commands."""

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trustplane.nodes import ssh
from trustplane_local import registry
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.demo.story import Story, StoryError
from trustplane_local.stack import Stack

UNTRUSTED = "x509: certificate signed by unknown authority"
CORP_CREDENTIALS = "corp-credentials"


@dataclass
class Stage:
    """The state that the acts share."""

    story: Story
    stack: Stack
    fleet: DemoClusters
    authorities: dict[str, bytes] = field(
        default_factory=dict
    )  # PEM certificates in the service configuration, by name

    @property
    def corp(self) -> registry.PrivateRegistry:
        """The registry of the first act."""
        return registry.registries_of(self.stack)[0]

    @property
    def apps(self) -> registry.PrivateRegistry:
        """The registry whose CA a later act adds."""
        return registry.registries_of(self.stack)[1]

    def release(self) -> str:
        """Return the name of the newest release."""
        return str(self.fleet.supervisor.get("tkr")["items"][-1]["metadata"]["name"])


Act = tuple[str, Callable[[Stage], None]]  # title, and the function that plays it


def apply_configuration(stage: Stage) -> None:
    """Apply the service configuration with the stage's current authorities."""
    stage.fleet.supervisor.apply(
        manifests.configuration_manifest(stage.authorities), file="tkgserviceconfiguration.yaml"
    )
    stage.story.say("spec.trust.additionalTrustedCAs: " + ", ".join(stage.authorities))


def run_trustplane(stage: Stage, *arguments: str, kubeconfig: Path | None = None, status: int = 0) -> None:
    """Run a command of Trustplane on this terminal.

    Args:
        stage: The stage.
        arguments: The command and its arguments.
        kubeconfig: The cluster to run against; None for the Supervisor.
        status: The expected exit status.

    Raises:
        StoryError: The command exits with another status.
    """
    option = f" --kubeconfig={kubeconfig.name}" if kubeconfig else ""
    stage.story.shell(f"trustplane {shlex.join(arguments)}{option}", "")
    completed = subprocess.run(command_line(stage, *arguments, kubeconfig=kubeconfig), check=False)
    if completed.returncode != status:
        raise StoryError(f"trustplane {arguments[0]} exited with status {completed.returncode}, not {status}")


def command_line(stage: Stage, *arguments: str, kubeconfig: Path | None = None) -> list[str]:
    """Return program and arguments of a command of Trustplane, by default against the Supervisor."""
    return [sys.executable, "-m", "trustplane", *arguments, f"--kubeconfig={kubeconfig or stage.stack.kubeconfig}"]


def run_over_ssh(stage: Stage, cluster: str, *commands: str) -> list[str]:
    """Run commands on a cluster's oldest worker; return the output of each.

    Raises:
        StoryError: A command failed.
    """
    return asyncio.run(_run_over_ssh(stage, cluster, stage.fleet.worker_address(cluster), commands))


async def _run_over_ssh(stage: Stage, cluster: str, address: str, commands: tuple[str, ...]) -> list[str]:
    outputs = []
    async with ssh.connect(address, stage.fleet.private_key(cluster)) as node:
        for command in commands:
            completed = await node.run(command)
            stage.story.shell(f"ssh vmware-system-user@{address} {command}", completed.stdout)
            if completed.exit_status:
                raise StoryError(f"{command} exited with status {completed.exit_status}", why=completed.stderr.strip())
            outputs.append(completed.stdout)
    return outputs
