"""What the script on a node reports, read."""

import base64
from datetime import timedelta

import pytest

from laboratory.material import PKI
from oracle.pem import pem
from trustplane.collectors import disk
from trustplane.diagnosis.evidence import Vantage
from trustplane.diagnosis.layer import Role
from trustplane.errors import TransientError
from trustplane.nodes.ssh import Output
from trustplane.nodes.state import HOSTS

STATE = "manifest \ntoken {token}\ncerts 100\nbootstrapped 0\nruntime active run {started}\nmarker \nkubelet active\n"
PATH = "/etc/ssl/certs/tkg-corp.pem"
DIGEST = "0" * 64
ROOT = PKI().root.der


class Shell:
    """A node whose answers are known."""

    address = "192.0.2.1"

    def __init__(self, *lines: str, started: int = 200, later: tuple[str, ...] = (), silent: bool = False) -> None:
        stat = f"stat 150 regular file|{PATH}\nsum {DIGEST}  {PATH}\n"
        self._answers = [
            stat + STATE.format(token=DIGEST, started=started),
            *("\n".join(one) + "\n" for one in (lines, later)),
        ]
        self.scripts: list[str] = []
        self._silent = silent

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> Output:
        assert command == "sudo -n sh -s"
        assert timeout > 0
        self.scripts.append(stdin)
        if self._silent and "\ndial " in stdin:
            raise TransientError("The node does not answer")
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


def environment(proxy: str) -> tuple[str, str]:
    return f"variable HTTPS_PROXY {encoded(proxy)}", f"variable NO_PROXY {encoded('.other.corp')}"


async def test_what_is_behind_a_proxy_is_looked_at_through_it() -> None:
    direct, behind = PKI(1).root.der, ROOT
    first = (f"served harbor.corp {encoded(pem(direct))}", f"served a.other.corp {encoded(pem(direct))}")
    later = (f"served harbor.corp {encoded(pem(behind))}", "asks harbor.corp Basic")
    shell = Shell(*environment("http://proxy.corp:3128"), *first, later=later)
    found = await look_at(shell, "harbor.corp", "a.other.corp")
    assert {one.address: (one.certificates, one.proxy) for one in found.hosts} == {
        "harbor.corp": ((behind,), "http://proxy.corp:3128"),
        "a.other.corp": ((direct,), ""),
    }
    assert found.challenge == "basic"
    assert shell.scripts[2].splitlines()[-1] == "dial harbor.corp=harbor.corp:443=harbor.corp=proxy.corp:3128"


async def test_a_mirror_that_the_node_has_no_time_to_ask_is_named_and_hides_nothing_else() -> None:
    text = encoded('[host."https://mirror.corp"]\n')
    shell = Shell(
        f"file {HOSTS}/harbor.corp/hosts.toml {text}", f"served harbor.corp {encoded(pem(ROOT))}", silent=True
    )
    found = await look_at(shell, "harbor.corp")
    assert (found.unseen, [one.address for one in found.hosts]) == (("mirror.corp",), ["harbor.corp"])


@pytest.mark.parametrize("proxy", ["socks5://proxy.corp:1080", "https://proxy.corp:3129", "http://p$(reboot):1"])
async def test_a_proxy_that_cannot_be_tried_hides_what_is_behind_it(proxy: str) -> None:
    shell = Shell(*environment(proxy), f"served harbor.corp {encoded(pem(ROOT))}", "asks harbor.corp Basic")
    found = await look_at(shell, "harbor.corp")
    assert (found.hosts, found.challenge) == ((), "")
    assert found.disk.proxies == {"harbor.corp": proxy}
    assert shell.scripts[2].splitlines()[-1].strip() == "dial"


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
