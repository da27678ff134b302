"""The boot set, and the records of machines that booted with a set."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controllers.fleet import NAMESPACE, trust
from tests.unit.controllers.supervisor import Supervised, old

from trustplane.api.clustertrust import BOOTSTRAP, TRUST_APPLIED, AppliedTrust
from trustplane.api.keys import Key
from trustplane.clusterapi.secret import BootSet
from trustplane.fleet.view import ClusterState
from trustplane.kube import kinds
from trustplane.kube.errors import ConflictError, InvalidError, NotFoundError
from trustplane.rollout.execution import boot_data
from trustplane.rollout.execution.boot_data import BootRecorder, LostSetError
from trustplane.trust import bundle, recorded
from trustplane.trust.entries import EMPTY_SET, TrustSet

SHOP = Key(NAMESPACE, "shop")
TEXT = bundle.render_bundle(trust(), bundle.MAX_BUDGET_BYTES)


@pytest.fixture
def fleet() -> Supervised:
    return Supervised("shop")


async def view_of(fleet: Supervised) -> ClusterState:
    view = await fleet.view.observe(SHOP)
    assert view
    return view


def births(fleet: Supervised) -> BootRecorder:
    client: Any = fleet.server
    return BootRecorder(client)


def born(fleet: Supervised, number: int, data: bytes | str) -> str:
    """Add a machine without a record, with this bootstrap data; return its name."""
    name = fleet.node("shop", number, None)
    value = data if isinstance(data, str) else base64.b64encode(data).decode()
    body = {"metadata": {"name": f"{name}-data", "namespace": NAMESPACE}, "data": {"value": value, "format": "x"}}
    fleet.server.bodies[str(kinds.SECRETS), Key(NAMESPACE, f"{name}-data")] = body  # no informer watches it
    fleet.server.calls.clear()
    return name


def applied(fleet: Supervised, machine: str) -> AppliedTrust | None:
    return recorded.read_applied_trust(fleet.annotations(machine, kinds.MACHINES))


def indented(text: str) -> bytes:
    return "\n".join(f"      {line}" for line in text.splitlines()).encode()


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"#cloud-config\nwrite_files:\n  - content: |\n" + indented(TEXT),
        json.dumps({"storage": {"files": [{"contents": {"source": "data:," + quote(TEXT)}}]}}).encode(),
    ],
    ids=["plain", "cloud-config", "ignition"],
)
async def test_the_set_of_a_booted_machine_is_recorded_once(fleet: Supervised, data: bytes) -> None:
    name, known = born(fleet, 0, data), births(fleet)
    assert await known.record(await view_of(fleet))
    record = applied(fleet, name)
    assert record
    assert (record.digest, record.booted, record.method) == (trust().digest, trust().digest, BOOTSTRAP)
    assert not record.is_partial
    assert fleet.server.calls == [f"patch machines/{name}"]
    assert not await known.record(await view_of(fleet))
    assert not await births(fleet).record(await view_of(fleet))  # by another leader
    assert fleet.server.calls == [f"patch machines/{name}"]


async def test_a_partial_set_of_a_booted_machine_is_recorded(fleet: Supervised) -> None:
    for number, data in enumerate(
        [bundle.render_bundle(trust(), 1).encode(), indented(bundle.render_bundle(trust(), 1))]
    ):
        name = born(fleet, number, data)
        assert await births(fleet).record(await view_of(fleet))
        record = applied(fleet, name)
        assert record
        assert (record.digest, record.is_partial) == (trust().digest, True)


async def test_a_later_write_is_not_overwritten(fleet: Supervised) -> None:
    name = born(fleet, 0, TEXT.encode())
    fleet.node("shop", 0, old())
    assert not await births(fleet).record(await view_of(fleet))
    record = applied(fleet, name)
    assert record
    assert record.digest == old().digest


async def test_an_invalid_record_stays_until_the_next_write(fleet: Supervised) -> None:
    name = born(fleet, 0, TEXT.encode())
    fleet.change(kinds.MACHINES, name, {"metadata": {"annotations": {TRUST_APPLIED: "no record"}}})
    assert not await births(fleet).record(await view_of(fleet))
    assert fleet.annotations(name, kinds.MACHINES)[TRUST_APPLIED] == "no record"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#cloud-config\n",
        b"trustplane-set-",
        b"trustplane-set-" + b"A" * 64,
        b"trustplane-set-" + b"a" * 65,
        b"trustplane-set-" * 100_000,
        b"x" * (2 << 20) + TEXT.encode(),  # exceeds the limit of a Secret
        gzip.compress(TEXT.encode()),
        "no base64!",
        "\xff",
        "YQ",
    ],
    ids=range(11),
)
async def test_bootstrap_data_without_a_set_is_read_once(fleet: Supervised, data: bytes | str) -> None:
    name, known, requests = born(fleet, 0, data), births(fleet), list[str]()
    find = fleet.server.find

    async def counted(resource: Any, secret: str, namespace: str = "") -> Any:
        requests.append(secret)
        return await find(resource, secret, namespace)

    fleet.server.find = counted  # type: ignore[method-assign]
    for _ in range(2):
        assert not await known.record(await view_of(fleet))
    assert requests.count(f"{name}-data") == 1
    assert applied(fleet, name) is None
    assert fleet.server.calls == []


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bootstrap_data_has_a_valid_digest_or_none(before: bytes, after: bytes) -> None:
    for data in (before, before + b"trustplane-set-" + after):
        record = boot_data._read_bootstrap_data(base64.b64encode(data).decode())
        assert record is None or recorded.is_digest(record.digest)
    boot_data._read_bootstrap_data(before.decode("latin-1"))


async def test_machines_without_bootstrap_data_get_no_record(fleet: Supervised) -> None:
    name = born(fleet, 0, TEXT.encode())
    fleet.change(kinds.MACHINES, name, {"spec": {"bootstrap": {"dataSecretName": None}}})
    assert not await births(fleet).record(await view_of(fleet))
    fleet.change(kinds.MACHINES, name, {"spec": {"bootstrap": {"dataSecretName": "gone"}}})
    assert not await births(fleet).record(await view_of(fleet))
    assert fleet.server.calls == []


async def test_machines_without_a_set_delay_no_other_and_each_run_is_short(fleet: Supervised) -> None:
    for number in range(30):
        born(fleet, number, b"#cloud-config\n")
    names = {born(fleet, number, TEXT.encode()) for number in range(30, 55)}
    known = births(fleet)
    assert await known.record(await view_of(fleet))
    assert len(fleet.server.calls) == boot_data._BATCH
    assert await known.record(await view_of(fleet))
    assert {call.removeprefix("patch machines/") for call in fleet.server.calls} == names
    assert not await known.record(await view_of(fleet))


async def test_a_new_machine_of_the_same_name_is_read(fleet: Supervised) -> None:
    name, known = born(fleet, 0, b"#cloud-config\n"), births(fleet)
    assert not await known.record(await view_of(fleet))
    born(fleet, 0, TEXT.encode())
    fleet.change(kinds.MACHINES, name, {"metadata": {"uid": "another"}})
    assert await known.record(await view_of(fleet))
    known.forget(SHOP)
    assert known._without_set == {}


async def test_a_machine_deleted_or_replaced_meanwhile_gets_no_record(fleet: Supervised) -> None:
    name = born(fleet, 0, TEXT.encode())
    fleet.server.refusing[f"patch machines/{name}"] = NotFoundError("gone")
    assert not await births(fleet).record(await view_of(fleet))
    before = await view_of(fleet)
    fleet.change(kinds.MACHINES, name, {"metadata": {"uid": "another"}})
    with pytest.raises(ConflictError):
        await births(fleet).record(before)
    assert applied(fleet, name) is None


# The boot set.


async def write(fleet: Supervised, digest: str) -> None:
    client: Any = fleet.server
    await boot_data.write_boot_set(client, fleet.view, await view_of(fleet), digest)


def intact(held: TrustSet) -> BootSet:
    return BootSet(held.digest, bundle.render_bundle(held, bundle.DEFAULT_BUDGET_BYTES), is_intact=True)


async def test_the_boot_set_is_the_set_in_force_or_the_previous_or_empty(fleet: Supervised) -> None:
    await write(fleet, trust().digest)
    assert fleet.boot_set("shop") == intact(trust())
    fleet.kept("shop", old())
    await write(fleet, old().digest)
    assert fleet.boot_set("shop") == intact(old())
    await write(fleet, EMPTY_SET.digest)
    assert fleet.boot_set("shop") == intact(EMPTY_SET)


async def test_a_small_budget_leads_to_a_partial_boot_set(fleet: Supervised) -> None:
    fleet.change(kinds.CLUSTERS, "shop", {"spec": {"infrastructureRef": {"kind": "AWSCluster"}}})
    await write(fleet, trust().digest)
    assert not fleet.boot_set("shop").is_partial
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bundle, "BUDGET_BYTES_BY_KIND", {"AWSCluster": 100})
        await write(fleet, trust().digest)
    boot_set = fleet.boot_set("shop")
    assert (boot_set.digest, boot_set.is_partial, boot_set.is_intact) == (trust().digest, True, True)


@pytest.mark.parametrize("content", [None, {"x.pem": "bm90aGluZw=="}, "another"])
async def test_a_lost_set_changes_nothing(fleet: Supervised, content: Any) -> None:
    fleet.boots("shop", trust())
    if content is not None:
        fleet.kept("shop", old())
        data = (
            content
            if isinstance(content, dict)
            else fleet.server.stored(kinds.SECRETS, f"shop-trust-{trust().short}")["data"]
        )
        fleet.secret(f"shop-trust-{old().short}", "shop", "trust", data)
    fleet.server.calls.clear()
    with pytest.raises(LostSetError, match=r"Secret shop-trust-\w+ with the last proven set cannot be read"):
        await write(fleet, old().digest)
    assert fleet.server.calls == []
    assert fleet.boot_set("shop").digest == trust().digest


async def test_an_immutable_secret_is_replaced(fleet: Supervised) -> None:
    fleet.boots("shop", old())
    fleet.server.calls.clear()
    fleet.server.refusing["apply secrets/shop-trust"] = InvalidError("field is immutable when `immutable` is set")
    await write(fleet, trust().digest)
    assert fleet.server.calls == ["delete secrets/shop-trust", "apply secrets/shop-trust"]
    assert fleet.boot_set("shop") == intact(trust())
