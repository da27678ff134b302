"""Facts of nodes, worked out anew only where the Machine that says them has changed."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from trustplane.api.clusterapi import Machine
from trustplane.api.keys import Key, key_of
from trustplane.clusterapi.machine_facts import node_facts
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.kube.informer import Change, Informer


class _Known(NamedTuple):
    machine: Machine
    facts: NodeFacts


class NodeFactsCache:
    """What Machines say of their nodes, as the informer last saw them.

    An informer replaces what it has of an object, and never changes it: the same one says the same.

    Args:
        machines: Machines of Cluster API.
    """

    def __init__(self, machines: Informer[Machine]) -> None:
        self._machines = machines
        self._known: dict[Key, _Known] = {}
        machines.subscribe(self._forget)

    async def get(self, machines: Iterable[Machine]) -> list[NodeFacts]:
        """Return what is known of the nodes of Machines, in their order; see `machine_facts.facts`.

        What a tenant has written on a Machine takes a while to read: others go between any two that are read.

        Args:
            machines: As they were seen together; what changes meanwhile is not looked at.
        """
        return [await self._of(one) for one in tuple(machines)]

    async def _of(self, machine: Machine) -> NodeFacts:
        key = key_of(machine)
        known = self._known.get(key)
        if known is not None and known.machine is machine:
            return known.facts
        found = node_facts(machine)
        if self._machines.get(key) is machine:  # one that is gone by now would never be forgotten
            self._known[key] = _Known(machine, found)
        await asyncio.sleep(0)
        return found

    def _forget(self, change: Change[Machine]) -> None:
        if change.new is None:
            self._known.pop(change.key, None)
