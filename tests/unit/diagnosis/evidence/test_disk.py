"""Inspection of a node: the report of the script on it, parsed."""

import base64
from datetime import timedelta

import pytest
from oracle.pem import pem

from laboratory.material import PKI
from trustplane.diagnosis.evidence import disk
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.diagnosis.facts import ObservedFrom
from trustplane.diagnosis.layer import Role
from trustplane.errors import TransientError
from trustplane.nodes.ssh import CommandOutput
from trustplane.nodes.state import HOSTS

STATE = "manifest \ntoken {token}\ncerts 100\nbootstrapped 0\nruntime active run {started}\nmarker \nkubelet active\n"
PATH = "/etc/ssl/certs/tkg-corp.pem"
DIGEST = "0" * 64
ROOT = PKI().root.der


class Shell:
    """A node with fixed answers."""

    address = "192.0.2.1"

    def __init__(self, *lines: str, started: int = 200, later: tuple[str, ...] = (), silent: bool = False) -> None:
        stat = f"stat 150 regular file|{PATH}\nsum {DIGEST}  {PATH}\n"
        self._answers = [
            stat + STATE.format(token=DIGEST, started=started),
            *("\n".join((*one, "end - -")) + "\n" for one in (lines, later)),
        ]
        self.scripts: list[str] = []
        self._silent = silent

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        assert command == "sudo -n sh -s"
        assert timeout > 0
        self.scripts.append(stdin)
        if self._silent and "\ndial " in stdin:
            raise TransientError("The node does not answer")
        return CommandOutput(self._answers.pop(0), "", 0)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def inspect(shell: Shell, *addresses: str) -> disk.NodeInspection:
    endpoints = [(Role.REGISTRY, address) for address in addresses]
    return await disk.inspect_node(shell, "harbor.corp", endpoints, TimeLimits())


async def test_files_and_served_chain() -> None:
    text = encoded(pem(ROOT))
    shell = Shell(f"file {PATH} {text}", f"served harbor.corp {text}", "served mirror.corp ")
    inspection = await inspect(shell, "harbor.corp", "mirror.corp")
    assert inspection.disk.roots == {PATH: (ROOT,)}
    assert [(host.address, host.observed_from, host.certificates) for host in inspection.hosts] == [
        ("harbor.corp", ObservedFrom.NODE, (ROOT,))
    ]
    assert inspection.disk.is_stale is False
    assert "main 5 harbor.corp harbor.corp=harbor.corp:443=harbor.corp" in shell.scripts[1]


async def test_authentication_scheme_of_the_registry() -> None:
    inspection = await inspect(Shell("asks mirror.corp Bearer", "asks harbor.corp Basic"), "harbor.corp")
    assert inspection.challenge == "basic"
    assert (await inspect(Shell("asks harbor.corp "), "harbor.corp")).challenge == ""


async def test_containerd_older_than_the_files_is_stale() -> None:
    assert (await inspect(Shell(started=120))).disk.is_stale is True


async def test_file_without_a_certificate() -> None:
    inspection = await inspect(Shell(f"file {PATH} {encoded('-----BEGIN CERT')}"))
    assert (inspection.disk.malformed, inspection.disk.roots) == ((PATH,), {})


async def test_clock() -> None:
    inspection = await inspect(Shell("clock 1000.5 -"))
    assert inspection.disk.clock < timedelta(days=-365)


def environment(proxy: str) -> tuple[str, str]:
    return f"variable HTTPS_PROXY {encoded(proxy)}", f"variable NO_PROXY {encoded('.other.corp')}"


async def test_a_host_behind_a_proxy_is_dialled_through_it() -> None:
    direct, behind = PKI(1).root.der, ROOT
    first = (f"served harbor.corp {encoded(pem(direct))}", f"served a.other.corp {encoded(pem(direct))}")
    later = (f"served harbor.corp {encoded(pem(behind))}", "asks harbor.corp Basic")
    shell = Shell(*environment("http://proxy.corp:3128"), *first, later=later)
    inspection = await inspect(shell, "harbor.corp", "a.other.corp")
    assert {host.address: (host.certificates, host.proxy) for host in inspection.hosts} == {
        "harbor.corp": ((behind,), "http://proxy.corp:3128"),
        "a.other.corp": ((direct,), ""),
    }
    assert inspection.challenge == "basic"
    assert shell.scripts[2].splitlines()[-1] == "dial 5 harbor.corp=harbor.corp:443=harbor.corp=proxy.corp:3128"


async def test_a_mirror_without_an_answer_in_time_is_reported_and_keeps_the_other_results() -> None:
    text = encoded('[host."https://mirror.corp"]\n')
    shell = Shell(
        f"file {HOSTS}/harbor.corp/hosts.toml {text}", f"served harbor.corp {encoded(pem(ROOT))}", silent=True
    )
    inspection = await inspect(shell, "harbor.corp")
    assert (inspection.unanswered, [host.address for host in inspection.hosts]) == (("mirror.corp",), ["harbor.corp"])


@pytest.mark.parametrize("proxy", ["socks5://proxy.corp:1080", "https://proxy.corp:3129", "http://p$(reboot):1"])
async def test_hosts_behind_an_unusable_proxy_are_not_dialled(proxy: str) -> None:
    shell = Shell(*environment(proxy), f"served harbor.corp {encoded(pem(ROOT))}", "asks harbor.corp Basic")
    inspection = await inspect(shell, "harbor.corp")
    assert (inspection.hosts, inspection.challenge) == ((), "")
    assert inspection.unanswered == ("harbor.corp",)
    assert inspection.disk.proxies == {"harbor.corp": proxy}
    assert shell.scripts[2].splitlines()[-1].strip() == "dial 5"


@pytest.mark.parametrize("address", ["harbor.corp;reboot", "$(reboot)", "a b", "-x", "`x`", ""])
async def test_an_address_that_a_shell_would_interpret_is_not_sent(address: str) -> None:
    shell = Shell()
    await disk.inspect_node(shell, address, [(Role.REGISTRY, address)], TimeLimits())
    assert shell.scripts[1].splitlines()[-1].strip() == "main 5 -"


def test_mirrors() -> None:
    text = (
        'server = "https://harbor.corp"\n[host."https://robot:secret@mirror.corp:5000"]\n[host."https://other.corp"]\n'
    )
    assert disk.mirrors(text) == ["https://mirror.corp:5000", "https://other.corp"]
    assert disk.mirrors("server = ") == []
