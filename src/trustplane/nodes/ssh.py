"""Run commands on a node over SSH as user vmware-system-user, with the key of Secret `<cluster>-ssh`.

The owner of a cluster controls its nodes and their SSH servers. Every response therefore has a limit in size and time,
and the server gets nothing of the account that runs Trustplane: no agent, no configuration, no other keys.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncssh

from trustplane.clusterapi.ssh_secret import MAX_PRIVATE_KEY_LENGTH
from trustplane.errors import NodeError, TransientError, UserError
from trustplane.text import clean

USER = "vmware-system-user"

# `diagnose` reads the longest output: a CA bundle of 220 KiB and some hundred CAs, in base64. The report of a node with
# 200 managed files has 0.1 MiB.
MAX_OUTPUT: Final = 8 << 20  # bytes of the standard output of one command
MAX_ERRORS: Final = 64 << 10  # bytes of its standard error: a message or two
_MAX_HOST_KEY: Final = 4096  # characters; an RSA key of 16,384 bits has 2,800
_REASON: Final = 300  # characters of a server's message at the end of a connection
_CLOSE_SECONDS: Final = 1.0

# OpenSSH has offered these since 6.5 (2014), also in FIPS mode. Groups chosen by the server are excluded: they cost
# seconds of arithmetic. Compression is excluded because it would expand 1 KiB into 1 MiB.
_KEY_EXCHANGES: Final = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
_HOST_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


@dataclass(frozen=True)
class CommandOutput:
    """The result of a command."""

    stdout: str
    stderr: str
    exit_status: int


class NodeConnection:
    """An open connection to one node.

    Attributes:
        address: The address that was dialled.
        host_key: The public host key that the node presented on this connection, one line in OpenSSH format. It is not
            verified: the caller must compare it with the pinned key.
    """

    def __init__(self, address: str, connection: asyncssh.SSHClientConnection) -> None:
        self.address = address
        self._connection = connection
        self.host_key = _host_key_line(connection.get_server_host_key())

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        """Run a command in the user's shell and wait until it exits.

        Args:
            command: A shell command line. Every user of the node can read it, so it must contain no secret.
            stdin: The command's standard input.
            timeout: Seconds until the command is aborted.

        Raises:
            NodeError: The command writes more than `MAX_OUTPUT` or `MAX_ERRORS` bytes; all output is discarded.
            TransientError: The connection was lost, or the command did not exit in time.
        """
        session = _Session()
        try:
            async with asyncio.timeout(timeout):
                await self._execute(command, stdin.encode(), session)
        except TimeoutError as error:
            raise TransientError(
                f"A command on node {self.address} did not exit",
                why=f"it ran longer than {timeout:g} s",
                next_step="Check the load of the node, then try again",
            ) from error
        except Exception as error:  # a hostile server can make the library raise anything
            raise _lost(self.address, error) from error
        if session.overflow:
            raise _too_much(self.address, session.overflow)
        if session.exit_status is None:
            raise _lost(self.address, ConnectionResetError("the connection closed before the command exited"))
        return CommandOutput(_text(session.output), _text(session.errors), session.exit_status)

    async def _execute(self, command: str, stdin: bytes, session: "_Session") -> None:
        channel, _ = await self._connection.create_session(lambda: session, command, encoding=None)
        try:
            with contextlib.suppress(OSError):  # the command may have exited without reading its input
                channel.write(stdin)
                channel.write_eof()
            await session.ended.wait()
        finally:
            channel.abort()


class _Session(asyncssh.SSHClientSession[bytes]):
    """The output of a command; it ends as soon as the output exceeds a limit.

    Attributes:
        output: The standard output.
        errors: The standard error.
        exit_status: The exit status, or the negative number of the signal that ended the command; None without either.
        overflow: The stream that exceeded its limit, and the limit; empty if none did.
        ended: Set when no more output follows.
    """

    def __init__(self) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.exit_status: int | None = None
        self.overflow = ""
        self.ended = asyncio.Event()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        is_error = datatype == asyncssh.EXTENDED_DATA_STDERR
        kept, limit = (self.errors, MAX_ERRORS) if is_error else (self.output, MAX_OUTPUT)
        if self.overflow:
            return
        if len(kept) + len(data) <= limit:
            kept += data
            return
        self.overflow = f"{limit >> 10} KiB of {'standard error' if is_error else 'standard output'}"
        self.output.clear()
        self.errors.clear()
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's name
        if self._channel is not None:
            self.exit_status = self._channel.get_returncode()
        self.ended.set()


@asynccontextmanager
async def connect(
    address: str, private_key: str, *, port: int = 22, user: str = USER, timeout: float = 10.0
) -> AsyncIterator[NodeConnection]:
    """Open a connection to a node, and close it at the end of the block.

    Args:
        address: IP address or DNS name of the node.
        private_key: Private key in OpenSSH or PEM format, as in key `ssh-privatekey` of Secret `<cluster>-ssh`.
        port: Port of the node's SSH server.
        user: User to log in as.
        timeout: Seconds until the attempt is aborted.

    Raises:
        UserError: The private key cannot be parsed.
        NodeError: The node refuses the key, or shares no algorithm with Trustplane.
        TransientError: The node is unreachable.
    """
    key = _imported(private_key)
    connection = await _open(address, key, port=port, user=user, timeout=timeout)
    try:
        yield NodeConnection(address, connection)
    finally:
        await _close(connection)


def _imported(private_key: str) -> asyncssh.SSHKey:
    if len(private_key) > MAX_PRIVATE_KEY_LENGTH:
        raise _unreadable(
            f"it is longer than {MAX_PRIVATE_KEY_LENGTH} characters; Ed25519, or RSA of 4,096 bits, is shorter"
        )
    try:
        # An inconsistent RSA key harms only its owner; checking it would take a second of arithmetic.
        return asyncssh.import_private_key(private_key, unsafe_skip_rsa_key_validation=True)
    except Exception as error:
        raise _unreadable("it is neither OpenSSH's format nor PEM, or it is encrypted") from error


def _unreadable(why: str) -> UserError:
    return UserError(
        "The SSH private key cannot be parsed",
        why=why,
        next_step="Restore Secret <cluster>-ssh; delete it only if no node has its key yet",
    )


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    """Disconnect; abort if the server does not react in time."""
    connection.disconnect(asyncssh.DISC_BY_APPLICATION, "")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.wait_closed()
    connection.abort()


async def _open(
    address: str, key: asyncssh.SSHKey, *, port: int, user: str, timeout: float
) -> asyncssh.SSHClientConnection:
    try:
        return await asyncssh.connect(
            address,
            port,
            username=user,
            client_keys=[key],
            known_hosts=None,
            preferred_auth="publickey",
            kex_algs=_KEY_EXCHANGES,
            server_host_key_algs=_HOST_KEYS,
            compression_algs=("none",),
            connect_timeout=timeout,  # includes the handshake
            login_timeout=timeout,
            # Offer nothing of the account that runs Trustplane: no agent, configuration, Kerberos ticket, certificates.
            agent_path=None,
            config=None,
            gss_host=None,
            x509_trusted_certs=None,
        )
    except asyncssh.PermissionDenied as error:
        raise NodeError(
            f"Node {address} refuses the SSH key for user {user}",
            why="the node was created with another key than the one in Secret <cluster>-ssh",
            next_step="Compare the Secret's public key with ~/.ssh/authorized_keys on the node, or replace the node",
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        raise NodeError(
            f"Node {address} and Trustplane have no SSH algorithm in common",
            why=_reason(error),
            next_step="Configure its SSH server to offer curve25519-sha256 or ecdh-sha2-nistp256, and an Ed25519 or "
            "ECDSA host key",
        ) from error
    except Exception as error:  # a hostile server can make the library raise anything
        raise TransientError(
            f"Cannot open SSH to node {address} port {port}",
            why=_reason(error),
            next_step="Check that the node runs and that its SSH port is reachable from here",
        ) from error


def _lost(address: str, error: Exception) -> TransientError:
    return TransientError(
        f"The SSH connection to node {address} was lost",
        why=_reason(error),
        next_step="Check that the node still runs, then try again",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return clean(str(error), _REASON) or type(error).__name__


def _host_key_line(key: asyncssh.SSHKey | None) -> str:
    line = key.export_public_key().decode().strip() if key else ""
    return line if len(line) <= _MAX_HOST_KEY else ""


def _too_much(address: str, limit: str) -> NodeError:
    return NodeError(
        f"The output of a command on node {address} is too long",
        why=f"it wrote more than {limit}; the output was discarded",
        next_step="Check whether other programs replace sh, sudo, stat, sha256sum or base64 on the node",
    )


def _text(output: bytearray) -> str:
    return output.decode(errors="replace")
