"""Commands on a node over SSH, as TKG Service offers it: user vmware-system-user, the key of Secret `<cluster>-ssh`.

A node belongs to whoever owns its cluster, and so does all that its SSH server says: every answer is bounded in size
and time, and nothing of the account that runs us (its agent, its configuration, its other keys) is offered to it.
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

# What `diagnose` reads is the longest answer: a bundle of 220 KiB and some hundred CAs, in base64. A report of a node
# with 200 files of ours is 0.1 MiB.
MAX_OUTPUT: Final = 8 << 20  # bytes of the standard output of one command
MAX_ERRORS: Final = 64 << 10  # bytes of its standard error: a message or two
_MAX_HOST_KEY: Final = 4096  # characters of a host key; one of RSA with 16,384 bits has 2,800
_REASON: Final = 300  # characters of what a server says when it ends a connection
_CLOSE_SECONDS: Final = 1.0

# What OpenSSH has offered since 6.5 (2014), in FIPS mode as well. Groups of numbers that the server chooses are left
# out: they cost seconds of arithmetic. Without compression 1 KiB is never 1 MiB.
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
    """What a command left behind."""

    stdout: str
    stderr: str
    exit_status: int


class NodeConnection:
    """An open connection to one node.

    Attributes:
        address: The address that was dialled.
        host_key: The node's public host key, one line in OpenSSH format, as the node showed it on this connection. It
            was accepted unseen: a caller that comes back compares it with the one it kept.
    """

    def __init__(self, address: str, connection: asyncssh.SSHClientConnection) -> None:
        self.address = address
        self._connection = connection
        self.host_key = _shown(connection.get_server_host_key())

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        """Run a command in the user's shell and wait for its end.

        Args:
            command: A shell command line; it can be read by every user of the node, so it carries no secret.
            stdin: What the command reads from its standard input, to the end of file.
            timeout: Seconds until the command is given up.

        Raises:
            NodeError: The command says more than `MAX_OUTPUT` or `MAX_ERRORS` bytes; nothing of it is kept.
            TransientError: The connection was lost, or the command did not end in time.
        """
        answer = _Answer()
        try:
            async with asyncio.timeout(timeout):
                await self._ask(command, stdin.encode(), answer)
        except TimeoutError as error:
            raise TransientError(
                f"A command on node {self.address} did not end",
                why=f"it ran longer than {timeout:g} s",
                next_step="Look at the load of the node, then try again",
            ) from error
        except Exception as error:  # whatever a hostile server makes the library raise
            raise _lost(self.address, error) from error
        if answer.overflow:
            raise _too_much(self.address, answer.overflow)
        if answer.exit_status is None:
            raise _lost(self.address, ConnectionResetError("the connection ended before the command"))
        return CommandOutput(_text(answer.output), _text(answer.errors), answer.exit_status)

    async def _ask(self, command: str, stdin: bytes, answer: "_Answer") -> None:
        channel, _ = await self._connection.create_session(lambda: answer, command, encoding=None)
        try:
            with contextlib.suppress(OSError):  # a command that has ended already reads no input
                channel.write(stdin)
                channel.write_eof()
            await answer.ended.wait()
        finally:
            channel.abort()


class _Answer(asyncssh.SSHClientSession[bytes]):
    """What a command says, up to its limits; it is cut off as soon as it says more.

    Attributes:
        output: Its standard output.
        errors: Its standard error.
        exit_status: Of the command, or the negative number of the signal that ended it; None where neither came.
        overflow: Which of the two was too long, and what its limit is; empty for none.
        ended: Whether nothing more comes.
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
    """Open a connection to a node; it is closed at the end of the block.

    Args:
        address: IP address or DNS name of the node.
        private_key: Private key in OpenSSH or PEM format, as in key `ssh-privatekey` of Secret `<cluster>-ssh`.
        port: Port of the node's SSH server.
        user: User to log in as.
        timeout: Seconds until the attempt is given up.

    Raises:
        UserError: The private key cannot be read.
        NodeError: The node refuses the key, or has no algorithm that we have.
        TransientError: The node cannot be reached now.
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
        # Whether the numbers of an RSA key fit together is its owner's business: the check is a second of arithmetic.
        return asyncssh.import_private_key(private_key, unsafe_skip_rsa_key_validation=True)
    except Exception as error:
        raise _unreadable("it is neither OpenSSH's format nor PEM, or it is encrypted") from error


def _unreadable(why: str) -> UserError:
    return UserError(
        "The private key for SSH cannot be read",
        why=why,
        next_step="Delete Secret <cluster>-ssh only where no node has its key yet; otherwise restore it",
    )


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    """Say goodbye; a server that does not listen is left at once."""
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
            connect_timeout=timeout,  # the handshake as well
            login_timeout=timeout,
            # Nothing of the account that runs us: its agent, configuration, Kerberos ticket and certificates.
            agent_path=None,
            config=None,
            gss_host=None,
            x509_trusted_certs=None,
        )
    except asyncssh.PermissionDenied as error:
        raise NodeError(
            f"Node {address} refuses the SSH key for user {user}",
            why="the key in Secret <cluster>-ssh is not the one that the node was made with",
            next_step="Compare the Secret's public key with ~/.ssh/authorized_keys on the node, or replace the node",
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        raise NodeError(
            f"Node {address} and Trustplane have no algorithm of SSH in common",
            why=_reason(error),
            next_step="Let its SSH server offer curve25519-sha256 or ecdh-sha2-nistp256, and a key of Ed25519 or ECDSA",
        ) from error
    except Exception as error:  # whatever a hostile server makes the library raise
        raise TransientError(
            f"Cannot open SSH to node {address} port {port}",
            why=_reason(error),
            next_step="See that the node runs and that its SSH port is reachable from here",
        ) from error


def _lost(address: str, error: Exception) -> TransientError:
    return TransientError(
        f"The SSH connection to node {address} was lost",
        why=_reason(error),
        next_step="See that the node still runs, then try again",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return clean(str(error), _REASON) or type(error).__name__


def _shown(key: asyncssh.SSHKey | None) -> str:
    line = key.export_public_key().decode().strip() if key else ""
    return line if len(line) <= _MAX_HOST_KEY else ""


def _too_much(address: str, limit: str) -> NodeError:
    return NodeError(
        f"A command on node {address} says too much",
        why=f"it wrote more than {limit}; nothing of that was read",
        next_step="Look for what else answers in place of sh, sudo, stat, sha256sum or base64 on the node",
    )


def _text(output: bytearray) -> str:
    return output.decode(errors="replace")
