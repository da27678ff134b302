"""Secrets that users made, and that no informer follows: read now and then, not at each look."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.kube.client import Client
from trustplane.kube.kinds import SECRETS

CACHE_SECONDS: Final = 30.0  # for which what was read counts, also that there is none
_MOST: Final = 32 * 1024 * 1024  # characters of all that is kept


@dataclass(frozen=True)
class _Kept:
    read_at: float
    generation: int
    secret: Secret | None
    size: int


class UserSecretCache:
    """Reads Secrets, and spares the API server the same question during a burst of changes.

    Args:
        client: To the management cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()  # what was read first comes first
        self._size = 0

    async def find(self, key: Key, generation: int) -> Secret | None:
        """Return a Secret, or None where it is absent.

        Args:
            key: Namespace and name.
            generation: Of the object that names it: once that has changed, it is read anew.
        """
        now, kept = asyncio.get_running_loop().time(), self._kept.get(key)
        if kept and kept.generation == generation and now - kept.read_at < CACHE_SECONDS:
            return kept.secret
        found = await self._client.find(SECRETS, key.name, key.namespace)
        size = sum(map(len, found.data.values())) if found else 0
        self._drop(key)
        self._kept[key] = _Kept(now, generation, found, size)
        self._size += size
        while self._size > _MOST or now - next(iter(self._kept.values())).read_at >= CACHE_SECONDS:
            self._drop(next(iter(self._kept)))
        return found

    def _drop(self, key: Key) -> None:
        if kept := self._kept.pop(key, None):
            self._size -= kept.size
