"""What the acts of the story share: clusters, registries, and our own commands run as a person would."""

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
    """What the acts share."""

    story: Story
    stack: Stack
    fleet: DemoClusters
    authorities: dict[str, bytes] = field(default_factory=dict)

    @property
    def corp(self) -> registry.PrivateRegistry:
        """The registry of the first act."""
        return registry.registries_of(self.stack)[0]

    @property
    def apps(self) -> registry.PrivateRegistry:
        """The registry whose CA is added later."""
        return registry.registries_of(self.stack)[1]

    def release(self) -> str:
        """Return the name of the release to ask for."""
        return str(self.fleet.supervisor.get("tkr")["items"][-1]["metadata"]["name"])


Act = tuple[str, Callable[[Stage], None]]  # its title, and what happens


def apply_configuration(stage: Stage) -> None:
    """Apply the service configuration with the authorities so far, through a file like the customer's page."""
    stage.fleet.supervisor.apply(
        manifests.configuration_manifest(stage.authorities), file="tkgserviceconfiguration.yaml"
    )
    stage.story.say("spec.trust.additionalTrustedCAs: " + ", ".join(stage.authorities))


def run_trustplane(stage: Stage, *arguments: str, kubeconfig: Path | None = None, status: int = 0) -> None:
    """Run our own command as a person would, on this terminal."""
    shown = f" --kubeconfig={kubeconfig.name}" if kubeconfig else ""
    stage.story.shell(f"trustplane {shlex.join(arguments)}{shown}", "")
    done = subprocess.run(command_line(stage, *arguments, kubeconfig=kubeconfig), check=False)
    if done.returncode != status:
        raise StoryError(f"trustplane {arguments[0]} ended with status {done.returncode}")


def command_line(stage: Stage, *arguments: str, kubeconfig: Path | None = None) -> list[str]:
    """Return the program and arguments of one of our commands; without a kubeconfig, for the Supervisor."""
    return [sys.executable, "-m", "trustplane", *arguments, f"--kubeconfig={kubeconfig or stage.stack.kubeconfig}"]


def over_ssh(stage: Stage, cluster: str, *commands: str) -> list[str]:
    """Run commands on a worker of a cluster, and return what each printed; one that fails ends the story."""
    return asyncio.run(_over_ssh(stage, cluster, stage.fleet.worker_address(cluster), commands))


async def _over_ssh(stage: Stage, cluster: str, address: str, commands: tuple[str, ...]) -> list[str]:
    outputs = []
    async with ssh.connect(address, stage.fleet.private_key(cluster)) as node:
        for command in commands:
            done = await node.run(command)
            stage.story.shell(f"ssh vmware-system-user@{address} {command}", done.stdout)
            if done.exit_status:
                raise StoryError(f"{command} ended with status {done.exit_status}", why=done.stderr.strip())
            outputs.append(done.stdout)
    return outputs
