"""Cache Secrets of users, which no informer follows: the API server is asked at intervals, not on each reconcile."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.kube.client import Client
from trustplane.kube.kinds import SECRETS

CACHE_SECONDS: Final = 30.0  # lifetime of a cached Secret, and of the fact that it is absent
_MOST: Final = 32 * 1024 * 1024  # characters in all cached Secrets


@dataclass(frozen=True)
class _CacheEntry:
    read_at: float
    generation: int
    secret: Secret | None
    size: int


class UserSecretCache:
    """Reads Secrets, and avoids repeated requests to the API server during a burst of changes.

    Args:
        client: Client of the management cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._kept: OrderedDict[Key, _CacheEntry] = OrderedDict()  # oldest first
        self._size = 0

    async def find(self, key: Key, generation: int) -> Secret | None:
        """Return a Secret, or None if it is absent.

        Args:
            key: Namespace and name.
            generation: Generation of the object that names the Secret; a change makes the cached value obsolete.
        """
        now, kept = asyncio.get_running_loop().time(), self._kept.get(key)
        if kept and kept.generation == generation and now - kept.read_at < CACHE_SECONDS:
            return kept.secret
        secret = await self._client.find(SECRETS, key.name, key.namespace)
        size = sum(map(len, secret.data.values())) if secret else 0
        self._drop(key)
        self._kept[key] = _CacheEntry(now, generation, secret, size)
        self._size += size
        while self._size > _MOST or now - next(iter(self._kept.values())).read_at >= CACHE_SECONDS:
            self._drop(next(iter(self._kept)))
        return secret

    def _drop(self, key: Key) -> None:
        if kept := self._kept.pop(key, None):
            self._size -= kept.size
