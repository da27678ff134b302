"""Allocation of address indexes. Machines and load balancers share FIRST_INDEX to LAST_INDEX of the stack."""

import hashlib
from collections.abc import Collection

from trustplane.errors import HostError
from trustplane_local.stack import FIRST_INDEX, LAST_INDEX


def choose_index(uid: str, taken: Collection[int]) -> int:
    """Return a free index for an object.

    The search starts at an index derived from the uid. This avoids immediate reuse of a freed address, which
    neighbours would still attribute to its previous owner.

    Args:
        uid: The object's uid.
        taken: The indexes of all objects.

    Raises:
        HostError: All indexes are taken.
    """
    count = LAST_INDEX - FIRST_INDEX + 1
    start = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big")
    for step in range(count):
        index = FIRST_INDEX + (start + step) % count
        if index not in taken:
            return index
    raise HostError(
        f"All {count} addresses of the stack are taken",
        why="each machine and each load balancer has one",
        next_step="Delete clusters that you no longer need, or start another stack",
    )
