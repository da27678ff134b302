"""Three ways to write one CA to nodes and to verify it: Trustplane's, Ansible's, and a loop of ssh.

Each writes the file, links it for OpenSSL, restarts containerd and reads the file back, on 10 nodes at a time.
"""

import asyncio
import contextlib
import json
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.light_nodes import Fleet, LightNode
from trustplane.api.meta import Metadata, Object
from trustplane.errors import HostError
from trustplane.kube.tasks import together
from trustplane.nodes import hostkey, plan, ssh, trust

AT_A_TIME = 10
_CERTS = "/etc/ssl/certs"


@dataclass(frozen=True)
class Change:
    """One CA that is added.

    Attributes:
        name: Of the CA, unique for way and run.
        pem: Its certificate.
        link: Hash of its subject, by which OpenSSL finds it.
    """

    name: str
    pem: str
    link: str

    @property
    def path(self) -> str:
        return f"{_CERTS}/tkg-{self.name}.pem"

    @property
    def digest(self) -> str:
        return plan.digest_of(self.pem)


class Trustplane:
    """What `machines.update.carry_out` does for each node, without the requests to the API server.

    Nothing is kept from run to run but the files that are desired: each node is dialled anew, its host key compared
    with the pinned one, its state read, the plan made and carried out, and what it is like afterwards judged as drift.
    """

    name = "trustplane"

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._desired: dict[str, str] = {}

    def prepare(self, change: Change) -> None:
        self._desired[change.path] = change.pem

    async def run(self) -> None:
        turn = asyncio.Semaphore(AT_A_TIME)
        await together(*(self._update(node, turn) for node in self._fleet.nodes))

    async def _update(self, node: LightNode, turn: asyncio.Semaphore) -> None:
        async with turn, ssh.connect(node.address, self._fleet.private_key) as shell:
            hostkey.check_host_key(_machine(node), shell.host_key)
            result = await trust.apply(shell, self._desired)
        if not result.restarted or not plan.find_drift(self._desired, result.state).is_current:
            raise HostError(f"Node {node.address} is not as it should be", why=str(result))


def _machine(node: LightNode) -> Object:
    return Object(metadata=Metadata(name=node.address, annotations={hostkey.ANNOTATION: node.host_key}))


class Loop:
    """`xargs -P10 ssh`, without multiplexing: one connection to each node."""

    name = "xargs -P10 ssh"
    _SCRIPT = """\
set -eu
cat >{path} <<'PEM'
{pem}PEM
ln -s tkg-{name}.pem {certs}/{link}.0
systemctl restart containerd
echo '{digest}  {path}' | sha256sum --status -c -
"""

    def __init__(self, fleet: Fleet) -> None:
        self._script, self._addresses = fleet.folder / "loop.sh", fleet.folder / "addresses"
        self._addresses.write_text("".join(f"{node.address}\n" for node in fleet.nodes))
        options = ("-F", "none", "-o", "ControlMaster=no", "-o", "BatchMode=yes", *_identity(fleet))
        self._ssh = shlex.join(("ssh", *options))

    def prepare(self, change: Change) -> None:
        values = {"path": change.path, "certs": _CERTS, "pem": change.pem, "digest": change.digest}
        self._script.write_text(self._SCRIPT.format(name=change.name, link=change.link, **values))

    async def run(self) -> None:
        command = f"exec {self._ssh} {ssh.USER}@{{}} 'sudo -n sh -s' <{self._script}"
        await _run(
            ("xargs", "-a", str(self._addresses), f"-P{AT_A_TIME}", "-I{}", "sh", "-c", command), environment=os.environ
        )


class Ansible:
    """ansible-core with pipelining, 10 forks, and nothing gathered; its connections persist from task to task.

    Args:
        fleet: The nodes.
        program: Path of ansible-playbook.
    """

    name = "ansible-core"

    def __init__(self, fleet: Fleet, program: Path) -> None:
        self._folder, self._program = fleet.folder / "a", program.absolute()
        self._folder.mkdir()
        self._write("inventory", "".join(f"{node.address}\n" for node in fleet.nodes))
        common = shlex.join(("-F", "none", *_identity(fleet)))
        self._write(
            "ansible.cfg",
            f"[defaults]\nhome = {self._folder}\ninventory = {self._folder}/inventory\nforks = {AT_A_TIME}\n"
            f"remote_user = {ssh.USER}\ninterpreter_python = /usr/bin/python3\n"
            f"[connection]\npipelining = True\n[ssh_connection]\nssh_common_args = {common}\n",
        )

    def _write(self, name: str, content: str) -> None:
        (self._folder / name).write_text(content)

    def prepare(self, change: Change) -> None:
        self._write("ca.pem", change.pem)
        self._write("playbook.json", json.dumps(_playbook(change, self._folder / "ca.pem"), indent=1))

    async def run(self) -> None:
        environment = {**os.environ, "ANSIBLE_CONFIG": f"{self._folder}/ansible.cfg"}
        await _run((str(self._program), f"{self._folder}/playbook.json"), environment=environment)

    async def close(self) -> None:
        """End the connections that would persist for a minute, so that each run has to make them."""
        for socket in (self._folder / "cp").glob("*"):
            with contextlib.suppress(HostError):  # it has ended meanwhile
                await _run(("ssh", "-O", "exit", "-o", f"ControlPath={socket}", "any"), environment=os.environ)


def _playbook(change: Change, source: Path) -> list[dict[str, object]]:
    """Return the play, in JSON, which is YAML."""
    changed = "written is changed"
    tasks: list[dict[str, object]] = [
        {"copy": {"src": str(source), "dest": change.path, "mode": "0644"}, "register": "written"},
        {"command": f"ln -s tkg-{change.name}.pem {_CERTS}/{change.link}.0", "when": changed},
        {"command": "systemctl restart containerd", "when": changed},
        {
            "command": f"sha256sum {change.path}",
            "register": "read",
            "changed_when": False,
            "failed_when": f"not read.stdout.startswith('{change.digest} ')",
        },
    ]
    return [{"hosts": "all", "gather_facts": False, "become": True, "tasks": tasks}]


def _identity(fleet: Fleet) -> Sequence[str]:
    """Write the key and the known hosts, and return ssh's options for them."""
    key, known = fleet.folder / "key", fleet.folder / "known_hosts"
    key.touch(mode=0o600)
    key.write_text(fleet.private_key)
    known.write_text("".join(f"{node.address} {node.host_key}\n" for node in fleet.nodes))
    options = (f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=none", "StrictHostKeyChecking=yes")
    return ("-i", str(key), "-o", "IdentitiesOnly=yes", *(word for one in options for word in ("-o", one)))


async def _run(command: Sequence[str], *, environment: Mapping[str, str]) -> None:
    """Run a program to its end; where that is not waited for, it and all that it has started are ended.

    Raises:
        HostError: It fails; the end of what it printed is in the message.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise HostError(f"{Path(command[0]).name} failed", why=printed.decode(errors="replace")[-2000:])
