"""A loop of pulls through a worker's containerd, at a steady pace.

The loop runs on the node in batches, one SSH command for each: a session for every pull would cost more than the pull.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from trustplane.errors import TrustplaneError
from trustplane.nodes import ssh
from trustplane.text import clean

PER_SECOND: Final = 5
_BATCH: Final = 10
_BATCH_SECONDS: Final = 120.0  # until a batch counts as lost
_SHOWN: Final = 200  # characters of a failure
_FAILED: Final = "failed "
# Through the CRI where the node has its client, else as the CRI does: by containerd, with the hosts of `config_path`.
# A registry that asks for credentials has been asked over TLS that containerd accepted.
_SCRIPT: Final = f"""
pull() {{
    if command -v crictl >/dev/null; then
        crictl pull "$1"
    else
        ctr --namespace k8s.io images pull --hosts-dir /etc/containerd/certs.d "$1"
    fi
}}
n=0
while [ "$n" -lt {_BATCH} ]; do
    n=$((n + 1)) began=$(date +%s%N)
    message=$(pull "$host/bench/probe:$began" 2>&1)
    case $message in
    *"authorization failed"* | *"401 Unauthorized"* | *"pull access denied"*) echo answered ;;
    *) printf '{_FAILED}%s\\n' "$(printf %s "$message" | tr '\\n\\r' '  ' | tail -c {_SHOWN})" ;;
    esac
    rest=$(({1000 // PER_SECOND} - ($(date +%s%N) - began) / 1000000))
    [ "$rest" -le 0 ] || sleep "$(printf '0.%03d' "$rest")"
done
"""


@dataclass
class PullCounts:
    """Counted pulls.

    Attributes:
        made: All of them.
        failed: Those without an answer of the registry, and attempts to log in on the node that failed.
        last_failure: The last failure's message.
    """

    made: int = 0
    failed: int = 0
    last_failure: str = ""

    def count(self, output: str) -> None:
        """Count the pulls of a batch by its output, a line for each."""
        for line in output.splitlines():
            self.made += 1
            if line.startswith(_FAILED):
                self.fail(line.removeprefix(_FAILED))

    def fail(self, message: str) -> None:
        """Count a failure of a pull that is counted already."""
        self.failed += 1
        self.last_failure = clean(message, _SHOWN)


class Puller:
    """Pulls until it is stopped.

    Args:
        address: Returns the address of a worker; called again when the connection is lost.
        private_key: SSH key of the nodes.
        host: A registry that the nodes trust throughout.
    """

    def __init__(self, address: Callable[[], Awaitable[str]], private_key: str, host: str) -> None:
        self.pulls = PullCounts()
        self._address = address
        self._private_key = private_key
        self._script = f"host={host}\n{_SCRIPT}"
        self._is_stopping = False
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Pull until `stop` is called, or until cancelled."""
        try:
            while not self._is_stopping:
                await self._pull_on_one()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Finish the batch under way, whose results would otherwise be lost."""
        self._is_stopping = True
        await self._ended.wait()

    async def _pull_on_one(self) -> None:
        """Pull on one node until the connection to it is lost."""
        try:
            async with ssh.connect(await self._address(), self._private_key) as node:
                while not self._is_stopping:
                    done = await node.run("sudo -n sh -s", stdin=self._script, timeout=_BATCH_SECONDS)
                    self.pulls.count(done.stdout)
        except TrustplaneError as error:
            self.pulls.made += 1
            self.pulls.fail(str(error))
            await asyncio.sleep(1 / PER_SECOND)
