"""The service's configuration against a real API server."""

import asyncio
import base64
import json

from tests.apiserver.controllers.conftest import SYSTEM, Supervisor, entry, make_ca, until

from trustplane.api.conditions import TRUST_VALID
from trustplane.api.configuration import NAME, TkgServiceConfiguration
from trustplane.api.meta import condition
from trustplane.fleet.last_good import LAST_GOOD_SECRET
from trustplane.kube.kinds import CONFIGURATIONS, EVENTS, SECRETS
from trustplane.kube.resource import Resource

RAW: Resource[dict] = Resource(  # type: ignore[type-arg]
    CONFIGURATIONS.group, "v1alpha1", CONFIGURATIONS.kind, CONFIGURATIONS.plural, dict, namespaced=False
)


def _judged(configuration: TkgServiceConfiguration, status: str) -> bool:
    found = condition(configuration.status.conditions, TRUST_VALID)
    return (
        found is not None and found.status == status and found.observed_generation == configuration.metadata.generation
    )


async def test_the_stock_object_is_there_from_the_start_and_comes_back(supervisor: Supervisor) -> None:
    async with supervisor.running():
        stock = await until(supervisor.client, RAW, NAME, "", lambda _: True)
        assert stock["spec"] == {"defaultCNI": "antrea"}
        applied = stock["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        assert json.loads(applied)["spec"] == {"defaultCNI": "antrea"}

        await supervisor.client.delete(CONFIGURATIONS, NAME)
        uid = stock["metadata"]["uid"]
        await until(supervisor.client, RAW, NAME, "", lambda found: found["metadata"]["uid"] != uid)


async def test_the_first_customisation_is_dated_once(supervisor: Supervisor) -> None:
    async with supervisor.running():
        stock = await until(supervisor.client, CONFIGURATIONS, NAME, "", lambda found: _judged(found, "True"))
        assert stock.status.first_customized_at is None

        await supervisor.configure(entry("a", make_ca("a")))
        first = await until(
            supervisor.client, CONFIGURATIONS, NAME, "", lambda found: found.status.first_customized_at is not None
        )
        await supervisor.configure()
        later = await until(
            supervisor.client,
            CONFIGURATIONS,
            NAME,
            "",
            lambda found: found.metadata.generation > first.metadata.generation and _judged(found, "True"),
        )
        assert later.status.first_customized_at == first.status.first_customized_at


async def test_a_broken_list_is_explained_and_the_last_good_one_kept(supervisor: Supervisor) -> None:
    good = make_ca("good")
    async with supervisor.running():
        await supervisor.configure(entry("good", good))
        await until(supervisor.client, CONFIGURATIONS, NAME, "", lambda found: _judged(found, "True"))

        await supervisor.configure(entry("good", good), entry("bad", "no certificate at all"))
        broken = await until(supervisor.client, CONFIGURATIONS, NAME, "", lambda found: _judged(found, "False"))
        valid = condition(broken.status.conditions, TRUST_VALID)
        assert valid is not None
        assert "spec.trust.additionalTrustedCAs[1] (bad)" in valid.message
        assert "last good list stays" in valid.message

        kept = await supervisor.client.get(SECRETS, LAST_GOOD_SECRET, SYSTEM)
        assert {name: base64.b64decode(data).decode() for name, data in kept.data.items()} == {"good.pem": good}
        selector = f"regarding.uid={broken.metadata.uid},reason=TrustValidInvalid"
        async with asyncio.timeout(20):
            async for event in supervisor.client.watch(EVENTS, "default", version="", fields=selector):
                if event.type == "ADDED":  # not a bookmark
                    told = EVENTS.decode(event.object)
                    break
        assert (told["type"], "(bad)" in told["note"]) == ("Warning", True)
