"""Share the fleet's limit of writes evenly between clusters, up to each cluster's demand. Pure."""

import heapq
from collections.abc import Mapping


def share_writes(
    demand: Mapping[str, int], limit: int, in_flight: Mapping[str, int], *, after: str = ""
) -> Mapping[str, int]:
    """Return how many writes each cluster may start now.

    Each free slot goes to the cluster with the fewest writes in flight: a large cluster must not delay a small one.
    Equal clusters take turns by name.

    Args:
        demand: Writes that each cluster would start.
        limit: Concurrent writes of the whole fleet.
        in_flight: Running writes by cluster, including clusters without demand.
        after: The cluster that received the last slot: equal clusters after it by name come first.
    """
    granted = dict.fromkeys(demand, 0)
    queue = [(in_flight.get(name, 0), name <= after, name) for name, count in demand.items() if count > 0]
    heapq.heapify(queue)
    for _ in range(limit - sum(in_flight.values())):
        if not queue:
            break
        load, is_behind, name = queue[0]
        granted[name] += 1
        if granted[name] < demand[name]:
            heapq.heapreplace(queue, (load + 1, is_behind, name))
        else:
            heapq.heappop(queue)
    return granted
