"""Hostile SSH servers: the owner of a cluster controls its nodes, and the servers at their addresses."""

import asyncio
import base64
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from trustplane.errors import NodeError, TransientError, TrustplaneError, UserError
from trustplane.nodes import ssh

Process = asyncssh.SSHServerProcess[bytes]
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

KEY = asyncssh.generate_private_key("ssh-ed25519")
PRIVATE = KEY.export_private_key().decode()
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
VERSION = b"SSH-2.0-OpenSSH_9.2\r\n"


@asynccontextmanager
async def node(shell: Callable[[Process], Any], **options: Any) -> AsyncIterator[int]:
    allowed = asyncssh.import_authorized_keys(KEY.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[HOST_KEY],
        authorized_client_keys=allowed,
        process_factory=shell,
        encoding=None,
        **options,
    )
    async with server:
        yield server.get_port()


@asynccontextmanager
async def raw_server(raw: Raw) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await raw(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def flood(process: Process) -> None:
    stream = process.stderr if process.command == "errors" else process.stdout
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            stream.write(b"A" * (1 << 20))
            await stream.drain()


async def silent(_process: Process) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("command", "limit"), [("output", "8192 KiB of standard output"), ("errors", "64 KiB")])
async def test_the_output_of_a_command_is_limited_and_the_connection_stays_usable(command: str, limit: str) -> None:
    async with node(flood) as port, ssh.connect("127.0.0.1", PRIVATE, port=port) as connection:
        for _ in range(2):
            with pytest.raises(NodeError, match=limit):
                await connection.run(command)


async def test_an_output_of_the_maximum_length_is_read() -> None:
    async def answer(process: Process) -> None:
        process.stdout.write(b"x" * ssh.MAX_OUTPUT)
        process.stderr.write(b"y" * ssh.MAX_ERRORS)
        await process.stdout.drain()
        process.exit(0)

    async with node(answer) as port, ssh.connect("127.0.0.1", PRIVATE, port=port) as connection:
        output = await connection.run("cat")
    assert (len(output.stdout), len(output.stderr), output.exit_status) == (ssh.MAX_OUTPUT, ssh.MAX_ERRORS, 0)


FLOOD = """
import asyncio
import asyncssh
from tests.memory import peak
from trustplane.errors import NodeError
from trustplane.nodes import ssh

async def flood(process):
    try:
        for _ in range(400):
            process.stdout.write(b"A" * (1 << 20))
            await process.stdout.drain()
    except (OSError, asyncssh.Error):
        pass

async def main():
    key = asyncssh.generate_private_key("ssh-ed25519")
    allowed = asyncssh.import_authorized_keys(key.export_public_key().decode())
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], authorized_client_keys=allowed,
                                   process_factory=flood, encoding=None)
    async with server, ssh.connect("127.0.0.1", key.export_private_key().decode(), port=server.get_port()) as node:
        try:
            await node.run("cat")
        except NodeError:
            print(peak())

asyncio.run(main())
"""


def test_an_endless_output_needs_bounded_memory() -> None:
    done = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 250  # MiB; the server is in the same process


async def test_a_command_with_slow_output_times_out() -> None:
    async def drip(process: Process) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while True:
                process.stdout.write(b".")
                await asyncio.sleep(0.01)

    async with node(drip) as port, ssh.connect("127.0.0.1", PRIVATE, port=port) as connection:
        with pytest.raises(TransientError, match="did not exit"):
            await connection.run("cat", timeout=0.3)


async def test_a_command_that_exits_without_reading_its_input_has_a_status() -> None:
    def refuse(process: Process) -> None:
        process.stderr.write(b"sudo: a password is required")
        process.exit(1)

    async with node(refuse) as port, ssh.connect("127.0.0.1", PRIVATE, port=port) as connection:
        output = await connection.run("sudo", stdin="x" * 10_000_000)
    assert (output.exit_status, output.stderr) == (1, "sudo: a password is required")


async def test_a_binary_output_is_read() -> None:
    def answer(process: Process) -> None:
        process.stdout.write(b"\xff\xfe\x00ok")
        process.exit(0)

    async with node(answer) as port, ssh.connect("127.0.0.1", PRIVATE, port=port) as connection:
        assert (await connection.run("cat")).stdout == "\ufffd\ufffd\x00ok"


async def test_the_disconnect_message_of_a_server_becomes_a_short_printable_line() -> None:
    async def leave(process: Process) -> None:
        process.get_extra_info("connection").disconnect(asyncssh.DISC_PROTOCOL_ERROR, "\x1b[31mx\n" * 5000)

    async with node(leave) as port, ssh.connect("127.0.0.1", PRIVATE, port=port) as connection:
        with pytest.raises(TransientError, match="was lost") as caught:
            await connection.run("cat")
    assert caught.value.why.isprintable()
    assert len(caught.value.why) <= 300


@pytest.mark.parametrize(
    "options",
    [
        {"kex_algs": ["diffie-hellman-group-exchange-sha256"]},
        {"compression_algs": ["zlib@openssh.com"]},
        {"server_host_keys": [asyncssh.generate_private_key("ssh-dss")]},
    ],
    ids=["group of the server's choice", "compression", "DSA"],
)
async def test_costly_and_old_algorithms_are_refused(options: dict[str, Any]) -> None:
    server = await asyncssh.listen("127.0.0.1", 0, **{"server_host_keys": [HOST_KEY], **options})
    async with server:
        with pytest.raises(NodeError, match="no SSH algorithm"):
            async with ssh.connect("127.0.0.1", PRIVATE, port=server.get_port()):
                pass


async def banner_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"welcome\r\n" * 100)
        await writer.drain()


async def line_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a" * 1000)
        await writer.drain()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a")
        await asyncio.sleep(0.01)


async def version_and_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(VERSION)
    await reader.read()


async def huge_packet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(VERSION + b"\x7f\xff\xff\xff\x04" + b"\x14" * 100_000)
    await reader.read()


async def broken_greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(VERSION + b"\x00\x00\x00\x0c\x04\x14" + b"\xff" * 100)
    await reader.read()


async def no_answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def goodbye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    "raw",
    [
        banner_without_end,
        line_without_end,
        drip,
        version_and_silence,
        huge_packet,
        broken_greeting,
        no_answer,
        goodbye,
    ],
)
async def test_a_server_without_a_valid_handshake_times_out(raw: Raw) -> None:
    async with raw_server(raw) as port, asyncio.timeout(30):
        with pytest.raises(TrustplaneError):
            async with ssh.connect("127.0.0.1", PRIVATE, port=port, timeout=0.5):
                pass


async def test_a_server_gets_nothing_of_the_account_that_runs_trustplane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the account's configuration nor its agent is used: a node's owner learns nothing about the account."""
    requests: list[str] = []

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append("agent")
        await reader.read(1)
        writer.close()

    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand touch {tmp_path}/ran\n  User root\n")
    (tmp_path / ".ssh" / "id_ed25519").write_text(PRIVATE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    other_key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    async with await asyncio.start_unix_server(agent, tmp_path / "agent"), node(silent) as port:
        with pytest.raises(NodeError, match="refuses the SSH key for user vmware-system-user"):
            async with ssh.connect("127.0.0.1", other_key, port=port):
                pass
    assert not requests
    assert not (tmp_path / "ran").exists()


def inconsistent_rsa_key(bits: int) -> str:
    """Return an RSA key with numbers that do not match."""
    numbers = [0, (1 << bits) - 1, 65537, 1, 1, 1, 1, 1, 1]
    sizes = [number.bit_length() // 8 + 1 for number in numbers]
    pairs = zip(numbers, sizes, strict=True)
    parts = [b"\x02\x82" + size.to_bytes(2) + number.to_bytes(size) for number, size in pairs]
    body = b"".join(parts)
    der = b"\x30\x82" + len(body).to_bytes(2) + body
    return f"-----BEGIN RSA PRIVATE KEY-----\n{base64.encodebytes(der).decode()}-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "neither"),
        ("\x00\ud800", "neither"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n" * 100, "neither"),
        ("-----BEGIN PRIVATE KEY-----\nMIAC\n-----END PRIVATE KEY-----", "neither"),
        (KEY.export_private_key(passphrase="secret", rounds=64).decode(), "encrypted"),
        (inconsistent_rsa_key(40_000), "longer than 4096 characters"),
    ],
)
async def test_an_unusable_private_key_is_a_user_error(key: str, why: str) -> None:
    with pytest.raises(UserError, match="SSH private key") as caught:
        async with ssh.connect("127.0.0.1", key):
            pass
    assert why in caught.value.why


async def test_an_inconsistent_rsa_key_fails_with_an_error() -> None:
    async with node(silent) as port:
        with pytest.raises(TrustplaneError):
            async with ssh.connect("127.0.0.1", inconsistent_rsa_key(2048), port=port):
                pass
