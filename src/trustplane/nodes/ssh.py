"""Commands on a node over SSH, as TKG Service offers it: user vmware-system-user, the key of Secret `<cluster>-ssh`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncssh

from trustplane.errors import NodeError, TransientError, UserError

USER = "vmware-system-user"


@dataclass(frozen=True)
class Output:
    """What a command left behind."""

    stdout: str
    stderr: str
    exit_status: int


class Node:
    """An open connection to one node.

    Attributes:
        address: The address that was dialled.
        host_key: The node's public host key, one line in OpenSSH format, as the node showed it on this connection. It
            was accepted unseen: a caller that comes back compares it with the one it kept.
    """

    def __init__(self, address: str, connection: asyncssh.SSHClientConnection) -> None:
        self.address = address
        self._connection = connection
        key = connection.get_server_host_key()
        self.host_key = key.export_public_key().decode().strip() if key else ""

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> Output:
        """Run a command in the user's shell and wait for its end.

        Args:
            command: A shell command line; it can be read by every user of the node, so it carries no secret.
            stdin: What the command reads from its standard input, to the end of file.
            timeout: Seconds until the command is given up.

        Raises:
            TransientError: The connection was lost, or the command did not end in time.
        """
        try:
            done = await self._connection.run(command, input=stdin, timeout=timeout, check=False)
        except asyncssh.TimeoutError as error:
            raise TransientError(
                f"A command on node {self.address} did not end",
                why=f"it ran longer than {timeout:g} s",
                next_step="Look at the load of the node, then try again",
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise _lost(self.address, error) from error
        if done.returncode is None:
            raise _lost(self.address, ConnectionResetError("the connection ended before the command"))
        return Output(stdout=_text(done.stdout), stderr=_text(done.stderr), exit_status=done.returncode)


@asynccontextmanager
async def connect(
    address: str, private_key: str, *, port: int = 22, user: str = USER, timeout: float = 10.0
) -> AsyncIterator[Node]:
    """Open a connection to a node; it is closed at the end of the block.

    Args:
        address: IP address or DNS name of the node.
        private_key: Private key in OpenSSH or PEM format, as in key `ssh-privatekey` of Secret `<cluster>-ssh`.
        port: Port of the node's SSH server.
        user: User to log in as.
        timeout: Seconds until the attempt is given up.

    Raises:
        UserError: The private key cannot be read.
        NodeError: The node refuses the key.
        TransientError: The node cannot be reached now.
    """
    try:
        key = asyncssh.import_private_key(private_key)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise UserError(
            "The private key for SSH cannot be read",
            why="it is neither OpenSSH's format nor PEM",
            next_step="Delete Secret <cluster>-ssh only where no node has its key yet; otherwise restore it",
        ) from error
    async with await _open(address, key, port=port, user=user, timeout=timeout) as connection:
        yield Node(address, connection)


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
            agent_path=None,
            config=None,
            preferred_auth="publickey",
            connect_timeout=timeout,
            login_timeout=timeout,
        )
    except asyncssh.PermissionDenied as error:
        raise NodeError(
            f"Node {address} refuses the SSH key for user {user}",
            why="the key in Secret <cluster>-ssh is not the one that the node was made with",
            next_step="Compare the Secret's public key with ~/.ssh/authorized_keys on the node, or replace the node",
        ) from error
    except (OSError, asyncssh.Error) as error:
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
    return str(error) or type(error).__name__


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
