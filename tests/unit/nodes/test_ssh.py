import socket
from collections.abc import AsyncIterator

import asyncssh
import pytest

from trustplane.errors import NodeError, TransientError, UserError
from trustplane.nodes import ssh


@pytest.fixture
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


async def _shell(process: asyncssh.SSHServerProcess[str]) -> None:
    if process.command == "hang":
        await process.stdin.read()
    elif process.command == "vanish":
        process.get_extra_info("connection").abort()
    else:
        process.stdout.write(f"ran {process.command} as {process.get_extra_info('username')}")
        process.stderr.write("a warning")
        process.exit(3)


@pytest.fixture
async def node(key: asyncssh.SSHKey, host_key: asyncssh.SSHKey) -> AsyncIterator[int]:
    allowed = asyncssh.import_authorized_keys(key.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=allowed, process_factory=_shell
    )
    async with server:
        yield server.get_port()


async def test_a_command_gives_its_output_errors_and_status(node: int, key: asyncssh.SSHKey) -> None:
    async with ssh.connect("127.0.0.1", key.export_private_key().decode(), port=node) as connection:
        done = await connection.run("cat /etc/ssl/certs/tkg-a.pem")
    assert done == ssh.CommandOutput("ran cat /etc/ssl/certs/tkg-a.pem as vmware-system-user", "a warning", 3)


async def test_the_host_key_is_recorded(node: int, key: asyncssh.SSHKey, host_key: asyncssh.SSHKey) -> None:
    async with ssh.connect("127.0.0.1", key.export_private_key().decode(), port=node) as connection:
        assert connection.host_key == host_key.export_public_key().decode().strip()


async def test_a_refused_key_names_the_secret(node: int) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(NodeError, match=r"refuses the SSH key .* Secret <cluster>-ssh"):
        async with ssh.connect("127.0.0.1", other, port=node):
            pass


async def test_a_closed_port_is_worth_a_retry(key: asyncssh.SSHKey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransientError, match="Cannot open SSH"):
        async with ssh.connect("127.0.0.1", key.export_private_key().decode(), port=port):
            pass


async def test_a_silent_server_is_given_up(key: asyncssh.SSHKey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(TransientError, match="Cannot open SSH"):
            async with ssh.connect("127.0.0.1", key.export_private_key().decode(), port=port, timeout=0.2):
                pass


async def test_a_command_that_hangs_is_given_up(node: int, key: asyncssh.SSHKey) -> None:
    async with ssh.connect("127.0.0.1", key.export_private_key().decode(), port=node) as connection:
        with pytest.raises(TransientError, match="did not end"):
            await connection.run("hang", timeout=0.2)


async def test_a_lost_connection_is_worth_a_retry(node: int, key: asyncssh.SSHKey) -> None:
    async with ssh.connect("127.0.0.1", key.export_private_key().decode(), port=node) as connection:
        with pytest.raises(TransientError, match="lost"):
            await connection.run("vanish")


async def test_an_unreadable_key_is_not_shown() -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        async with ssh.connect("127.0.0.1", "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret-part\n-----END"):
            pass
    assert "secret-part" not in str(caught.value)
