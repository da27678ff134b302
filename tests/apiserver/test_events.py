"""Events in the API server, and as shown by kubectl."""

from typing import Any

from trustplane.api.meta import Object
from trustplane.kube.client import Client
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CONFIG_MAPS, EVENTS, NAMESPACES
from trustplane.kube.resource import Resource

TYPED: Resource[Object] = Resource("", "v1", "ConfigMap", "configmaps", Object)


async def events(client: Client, namespace: str, name: str) -> list[dict[str, Any]]:
    return await client.list(EVENTS, namespace, fields=f"regarding.name={name}")


async def test_a_repeated_event_becomes_a_series_even_after_a_restart(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": namespace}})
    [found] = await client.list(TYPED, namespace)
    await Recorder(client, "trustplane.dev/test").event(found, "Refused", "No such CA. Add it", warning=True)
    [event] = await events(client, namespace, "a")
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "Refused", "No such CA. Add it")
    assert event["regarding"]["kind"] == "ConfigMap"
    assert "series" not in event

    restarted = Recorder(client, "trustplane.dev/test")
    await restarted.event(found, "Refused", "No such CA. Add it", warning=True)
    await restarted.event(found, "Refused", "No such CA. Add it", warning=True)
    await restarted.event(found, "Refused", "Another CA. Add it", warning=True)
    counts = {event["note"]: event.get("series", {}).get("count") for event in await events(client, namespace, "a")}
    assert counts == {"No such CA. Add it": 3, "Another CA. Add it": None}


async def test_events_of_cluster_scoped_and_untyped_objects_are_in_default(client: Client, namespace: str) -> None:
    found = await client.get(NAMESPACES, namespace)
    await Recorder(client, "trustplane.dev/test").event(found, "Seen", "x" * 5000)
    [event] = await events(client, "default", namespace)
    assert event["note"] == "x" * 1021 + "…"


async def test_an_event_that_cannot_be_recorded_is_not_an_error(apiserver: Any, client: Client, namespace: str) -> None:
    found = await client.get(NAMESPACES, namespace)
    async with Client.open(apiserver.visitor) as visitor:
        await Recorder(visitor, "trustplane.dev/test").event(found, "Seen", "nothing")
    assert await events(client, "default", namespace) == []
