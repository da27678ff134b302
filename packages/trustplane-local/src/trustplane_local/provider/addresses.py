"""Which address index an object gets. Machines and load balancers share FIRST_INDEX to LAST_INDEX of the stack."""

import hashlib
from collections.abc import Collection

from trustplane.errors import HostError
from trustplane_local.stack import FIRST_INDEX, LAST_INDEX


def choose_index(uid: str, taken: Collection[int]) -> int:
    """Return a free index for the object with that uid.

    The search starts at a place that depends on the uid alone, so that an address is not given away again right after
    it became free: neighbours still remember its last holder.

    Args:
        uid: of the object.
        taken: every index that an object has.

    Raises:
        HostError: all are taken.
    """
    count = LAST_INDEX - FIRST_INDEX + 1
    start = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big")
    for step in range(count):
        index = FIRST_INDEX + (start + step) % count
        if index not in taken:
            return index
    raise HostError(
        f"All {count} addresses of the stack are taken",
        why="each machine and each load balancer needs one",
        next_step="Delete clusters that are not needed, or start another stack",
    )
