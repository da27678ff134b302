"""What the script on a node reports, read."""

import base64
from datetime import timedelta

import pytest

from laboratory.material import PKI
from oracle.pem import pem
from trustplane.collectors import disk
from trustplane.diagnosis.evidence import Vantage
from trustplane.diagnosis.layer import Role
from trustplane.nodes.ssh import Output

STATE = "manifest \ntoken {token}\ncerts 100\nbootstrapped 0\nruntime active run {started}\nmarker \nkubelet active\n"
PATH = "/etc/ssl/certs/tkg-corp.pem"
DIGEST = "0" * 64
ROOT = PKI().root.der


class Shell:
    """A node whose answers are known."""

    address = "192.0.2.1"

    def __init__(self, *lines: str, started: int = 200) -> None:
        stat = f"stat 150 regular file|{PATH}\nsum {DIGEST}  {PATH}\n"
        self._answers = [stat + STATE.format(token=DIGEST, started=started), "\n".join(lines) + "\n"]
        self.scripts: list[str] = []

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> Output:
        assert command == "sudo -n sh -s"
        assert timeout > 0
        self.scripts.append(stdin)
        return Output(self._answers.pop(0), "", 0)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def look_at(shell: Shell, *addresses: str) -> disk.OnNode:
    return await disk.look_at(shell, "harbor.corp", [(Role.REGISTRY, one) for one in addresses], seconds=5)


async def test_files_and_served_chain() -> None:
    text = encoded(pem(ROOT))
    shell = Shell(f"file {PATH} {text}", f"served harbor.corp {text}", "served mirror.corp ")
    found = await look_at(shell, "harbor.corp", "mirror.corp")
    assert found.disk.roots == {PATH: (ROOT,)}
    assert [(one.address, one.vantage, one.certificates) for one in found.hosts] == [
        ("harbor.corp", Vantage.NODE, (ROOT,))
    ]
    assert found.disk.is_stale is False
    assert "main harbor.corp harbor.corp=harbor.corp:443=harbor.corp" in shell.scripts[1]


async def test_how_the_registry_asks_for_credentials() -> None:
    found = await look_at(Shell("asks mirror.corp Bearer", "asks harbor.corp Basic"), "harbor.corp")
    assert found.challenge == "basic"
    assert (await look_at(Shell("asks harbor.corp "), "harbor.corp")).challenge == ""


async def test_containerd_that_is_older_than_the_files_is_stale() -> None:
    assert (await look_at(Shell(started=120))).disk.is_stale is True


async def test_file_without_a_certificate() -> None:
    found = await look_at(Shell(f"file {PATH} {encoded('-----BEGIN CERT')}"))
    assert (found.disk.malformed, found.disk.roots) == ((PATH,), {})


async def test_clock() -> None:
    found = await look_at(Shell("clock 1000.5 -"))
    assert found.disk.clock < timedelta(days=-365)


@pytest.mark.parametrize("address", ["harbor.corp;reboot", "$(reboot)", "a b", "-x", "`x`", ""])
async def test_what_a_shell_would_read_otherwise_is_not_sent(address: str) -> None:
    shell = Shell()
    await disk.look_at(shell, address, [(Role.REGISTRY, address)], seconds=5)
    assert shell.scripts[1].splitlines()[-1].strip() == "main -"


def test_mirrors() -> None:
    text = (
        'server = "https://harbor.corp"\n[host."https://robot:secret@mirror.corp:5000"]\n[host."https://other.corp"]\n'
    )
    assert disk.mirrors(text) == ["https://mirror.corp:5000", "https://other.corp"]
    assert disk.mirrors("server = ") == []
