"""How the fleet's limit of writes is shared between clusters: evenly, nobody more than it can use. Pure."""

import heapq
from collections.abc import Mapping


def share_writes(
    wishes: Mapping[str, int], limit: int, in_flight: Mapping[str, int], *, after: str = ""
) -> Mapping[str, int]:
    """Return how many writes each cluster may begin now.

    Each free place goes to the cluster with the fewest writes under way, so that a large cluster cannot keep a small
    one waiting. Among those that have as many, places go around by name.

    Args:
        wishes: Writes that each cluster would begin.
        limit: Writes of the whole fleet at the same time.
        in_flight: Writes under way, by cluster; also of clusters that wish for none.
        after: The cluster that got a place last: among equals, those behind it by name come first.
    """
    granted = dict.fromkeys(wishes, 0)
    queue = [(in_flight.get(name, 0), name <= after, name) for name, wish in wishes.items() if wish > 0]
    heapq.heapify(queue)
    for _ in range(limit - sum(in_flight.values())):
        if not queue:
            break
        load, is_behind, name = queue[0]
        granted[name] += 1
        if granted[name] < wishes[name]:
            heapq.heapreplace(queue, (load + 1, is_behind, name))
        else:
            heapq.heappop(queue)
    return granted
