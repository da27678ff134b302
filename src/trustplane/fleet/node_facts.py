"""Cache the facts about nodes, and derive them again only when their Machine changes."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from trustplane.api.clusterapi import Machine
from trustplane.api.keys import Key, key_of
from trustplane.clusterapi.machine_facts import node_facts
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.kube.informer import Change, Informer


class _CacheEntry(NamedTuple):
    machine: Machine
    facts: NodeFacts


class NodeFactsCache:
    """Derives facts about nodes from the informer's Machines.

    An informer replaces objects and never modifies them: an identical object has identical facts.

    Args:
        machines: Informer of Cluster API's Machines.
    """

    def __init__(self, machines: Informer[Machine]) -> None:
        self._machines = machines
        self._known: dict[Key, _CacheEntry] = {}
        machines.subscribe(self._forget)

    async def get(self, machines: Iterable[Machine]) -> list[NodeFacts]:
        """Return the facts about the nodes of Machines, in their order; see `machine_facts.node_facts`.

        Parsing a tenant's annotations takes time: other tasks run between any two Machines.

        Args:
            machines: A snapshot; changes during the call are ignored.
        """
        return [await self._facts_of(machine) for machine in tuple(machines)]

    async def _facts_of(self, machine: Machine) -> NodeFacts:
        key = key_of(machine)
        known = self._known.get(key)
        if known is not None and known.machine is machine:
            return known.facts
        result = node_facts(machine)
        if self._machines.get(key) is machine:  # the entry of a deleted Machine would never be removed
            self._known[key] = _CacheEntry(machine, result)
        await asyncio.sleep(0)
        return result

    def _forget(self, change: Change[Machine]) -> None:
        if change.new is None:
            self._known.pop(change.key, None)
