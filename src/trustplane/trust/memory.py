"""Lists that were read lately, by their content: the same list is in many objects, and is looked at many times. Pure.

Whatever an object is called and however often its status is written, its list is parsed once.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from trustplane.trust.entries import Reading

MOST: Final = 32 * 1024 * 1024  # characters of the lists that are remembered


class Memory:
    """Remembers readings, of all lists together up to `most` characters; what was not asked for longest is forgotten.

    Args:
        most: Characters of the lists.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[bytes, tuple[Reading, int]] = OrderedDict()
        self._lock = threading.Lock()

    def reading(self, parts: Iterable[str], read: Callable[[], Reading]) -> Reading:
        """Return the reading of a list.

        Args:
            parts: All that it depends on.
            read: Reads it.
        """
        key, size = _digest(parts)
        with self._lock:
            if kept := self._kept.get(key):
                self._kept.move_to_end(key)
                return kept[0]
        found = read()
        with self._lock:
            self._keep(key, found, size)
        return found

    def _keep(self, key: bytes, found: Reading, size: int) -> None:
        if key not in self._kept:
            self._size += size
        self._kept[key] = (found, size)
        while self._size > self._most:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._size -= forgotten


def _digest(parts: Iterable[str]) -> tuple[bytes, int]:
    hashed, size = hashlib.sha256(), 0
    for part in parts:
        data = part.encode(errors="surrogatepass")
        hashed.update(b"%d:" % len(data))  # so that no two lists of parts are one text
        hashed.update(data)
        size += len(data)
    return hashed.digest(), size
