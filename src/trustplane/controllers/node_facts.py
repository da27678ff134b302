"""Facts of nodes, worked out anew only where one of the objects that say them has changed."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from trustplane.api.clusterapi import KubeadmConfig, Machine
from trustplane.clusterapi.machine_facts import facts
from trustplane.kube.informer import Change, Informer
from trustplane.kube.resource import Key, key_of
from trustplane.trust.entries import TrustSet
from trustplane.trust.standing import NodeFacts


@dataclass(frozen=True)
class _Known:
    machine: Machine
    config: KubeadmConfig | None
    users: TrustSet | None
    rolled_out: bool
    facts: NodeFacts


class FactsOfNodes:
    """What Machines and bootstrap configurations say of nodes, as informers last saw them.

    An informer replaces what it has of an object, and never changes it: the same one says the same.

    Args:
        machines: Machines of Cluster API.
        configs: Their bootstrap configurations.
    """

    def __init__(self, machines: Informer[Machine], configs: Informer[KubeadmConfig]) -> None:
        self._machines = machines
        self._configs = configs
        self._known: dict[Key, _Known] = {}
        machines.subscribe(self._forget)

    async def of(self, machines: Iterable[Machine], users: TrustSet | None, *, rolled_out: bool) -> list[NodeFacts]:
        """Return what is known of the nodes of Machines, in their order; see `machine_facts.facts`.

        What a tenant has written on a Machine takes a while to read: others go between any two that are read.

        Args:
            machines: As they were seen together; what changes meanwhile is not looked at.
            users: See `machine_facts.facts`.
            rolled_out: See `machine_facts.facts`.
        """
        return [await self._of(one, users, rolled_out=rolled_out) for one in tuple(machines)]

    async def _of(self, machine: Machine, users: TrustSet | None, *, rolled_out: bool) -> NodeFacts:
        key, metadata = key_of(machine), machine.metadata
        config = self._configs.get(Key(metadata.namespace, machine.spec.bootstrap.config_ref.name))
        known = self._known.get(key)
        if known is not None and _is_same(known, machine, config, users, rolled_out=rolled_out):
            return known.facts
        found = facts(machine, config, users, rolled_out=rolled_out)
        if self._machines.get(key) is machine:  # one that is gone by now would never be forgotten
            self._known[key] = _Known(machine, config, users, rolled_out, found)
        await asyncio.sleep(0)
        return found

    def _forget(self, change: Change[Machine]) -> None:
        if change.new is None:
            self._known.pop(change.key, None)


def _is_same(
    known: _Known, machine: Machine, config: KubeadmConfig | None, users: TrustSet | None, *, rolled_out: bool
) -> bool:
    is_same_object = known.machine is machine and known.config is config
    return is_same_object and known.rolled_out == rolled_out and known.users == users
