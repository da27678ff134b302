"""Cache of parsed lists and bundles, keyed by content. Pure.

Many objects contain the same list, and each is read many times. The list is parsed once, regardless of the object's
name and the number of status updates.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MAX_CACHED_LENGTH: Final = 32 * 1024 * 1024  # characters of all lists in a cache


class ListCache(Generic[T]):
    """A cache of parsed lists. Evicts the least recently used list first.

    Args:
        most: Limit for all cached lists together, in characters.
    """

    def __init__(self, most: int = MAX_CACHED_LENGTH) -> None:
        self._most = most
        self._size = 0
        self._cached: OrderedDict[bytes, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get_or_parse(self, parts: Iterable[str], read: Callable[[], T]) -> T:
        """Return a parsed list, from the cache if possible.

        Args:
            parts: All input of the parser.
            read: Parses the list.
        """
        key, size = _digest(parts)
        with self._lock:
            if cached := self._cached.get(key):
                self._cached.move_to_end(key)
                return cached[0]
        reading = read()
        with self._lock:
            self._add(key, reading, size)
        return reading

    def _add(self, key: bytes, reading: T, size: int) -> None:
        if key not in self._cached:
            self._size += size
        self._cached[key] = (reading, size)
        while self._size > self._most:
            _, (_, evicted) = self._cached.popitem(last=False)
            self._size -= evicted


def _digest(parts: Iterable[str]) -> tuple[bytes, int]:
    hashed, size = hashlib.sha256(), 0
    for part in parts:
        data = part.encode(errors="surrogatepass")
        hashed.update(b"%d:" % len(data))  # prevents two sequences of parts from hashing alike
        hashed.update(data)
        size += len(data)
    return hashed.digest(), size
