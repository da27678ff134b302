"""Failing pulls of workload clusters, and risks, with a real API server that also plays the workload cluster."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY as METRICS
from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca, until
from tests.apiserver.controllers.test_clustertrust import cluster
from tests.apiserver.controllers.test_processes import Trustplane
from tests.apiserver.controllers.workload import NOT_FOUND, UNTRUSTED, Kubelet, condition_of, registry, trust_of

from trustplane.api.clustertrust import ClusterTrust
from trustplane.api.meta import Json
from trustplane.api.registry import Registry
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTER_TRUSTS, PODS, REGISTRIES
from trustplane.kube.resource import Resource
from trustplane.proof import probe
from trustplane_local import pki

CORE_EVENTS: Resource[Json] = Resource("", "v1", "Event", "events", dict)  # the query of `kubectl describe pod`


@pytest.fixture
async def kubelet(client: Client) -> AsyncIterator[Kubelet]:
    async with Kubelet(client).running() as kubelet:
        yield kubelet


@pytest.fixture
def trustplane(apiserver: Any, tmp_path: Path) -> Trustplane:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(apiserver.kubeconfig))
    return Trustplane(file)


async def fail(client: Client, namespace: str, name: str, image: str, message: str, node: str = "worker-0") -> None:
    """Create a pod as a user does, with a waiting container as a kubelet reports it."""
    metadata = {"name": name, "namespace": namespace}
    container = {"name": "main", "image": image}
    body = {"metadata": metadata, "spec": {"nodeName": node, "containers": [container], **_LEAN}}
    await client.create(PODS, body)
    await wait_for_pull(client, namespace, name, image, f'Back-off pulling image "{image}": ErrImagePull: {message}')


async def wait_for_pull(client: Client, namespace: str, name: str, image: str, message: str) -> None:
    """Write a container's status as a kubelet does."""
    waiting = {"reason": "ImagePullBackOff", "message": message}
    state = {"name": "main", "image": image, "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**state, "state": {"waiting": waiting}}]}
    await client.patch(PODS, name, namespace, {"status": status}, subresource="status")


_LEAN = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}


def untrusted(host: str, image: str) -> str:
    return UNTRUSTED.format(host=host, image=image)


async def event_of(client: Client, namespace: str, pod: str) -> Json:
    """Wait for Trustplane's Event on a pod, as shown by kubectl."""
    fields = f"involvedObject.name={pod},reason=ImagePullExplained"
    async with asyncio.timeout(30):
        async for one in client.watch(CORE_EVENTS, namespace, version="", fields=fields):
            if one.type == "ADDED":
                return CORE_EVENTS.decode(one.object)
    raise AssertionError


async def events_of(client: Client, namespace: str) -> list[Json]:
    return await client.list(CORE_EVENTS, namespace, fields="reason=ImagePullExplained")


def counted(host: str) -> Callable[[ClusterTrust], bool]:
    return lambda trust: any(failure.host == host for failure in trust.status.failures)


async def test_a_pod_gets_cause_and_fix_once_and_the_failure_is_counted(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any
) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with registry(supervisor) as (name, host):
        kubelet.messages[host] = NOT_FOUND
        image = f"{host}/app/web:1"
        async with supervisor.running():
            await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
            for pod in ("web-0", "web-1"):
                await fail(client, namespace, pod, image, untrusted(host, image))
            event = await event_of(client, namespace, "web-0")
            assert event["type"] == "Warning"
            assert "issuer-not-trusted" in event["message"]
            assert f"trustplane fetch-ca {host}" in event["message"]
            assert len(event["message"].encode()) <= 1024
            await event_of(client, namespace, "web-1")
            trust = await trust_of(supervisor, "shop", counted(host))
            [found] = [failure for failure in trust.status.failures if failure.host == host]
            assert (found.cause, found.pods, found.example) == ("issuer-not-trusted", 2, f"{namespace}/web-0")
            assert found.since is not None
            told = await until(client, REGISTRIES, name, "", lambda one: bool(one.status.failures))
            [of_registry] = told.status.failures
            assert (of_registry.cluster, of_registry.pods) == (f"{namespace}/shop", 2)
            labels = {"namespace": namespace, "cluster": "shop", "host": host, "cause": "issuer-not-trusted"}
            assert METRICS.get_sample_value("trustplane_failing_pulls", labels) == 2
            assert condition_of(trust, "Current") == ("True", "UpToDate")
        assert METRICS.get_sample_value("trustplane_failing_pulls", labels) is None
        async with supervisor.running():
            # Another pod gets an Event: the new process has seen the old pods as well.
            await fail(client, namespace, "web-2", image, untrusted(host, image))
            await trust_of(
                supervisor, "shop", lambda one: [f.pods for f in one.status.failures if f.host == host] == [3]
            )
            await event_of(client, namespace, "web-2")
            names = [(one["involvedObject"]["name"], one.get("count", 1)) for one in await events_of(client, namespace)]
            assert sorted(names) == [("web-0", 1), ("web-1", 1), ("web-2", 1)]
            for pod in ("web-0", "web-1", "web-2"):
                await client.delete(PODS, pod, namespace)
            await trust_of(supervisor, "shop", lambda one: not counted(host)(one))
            await until(client, REGISTRIES, name, "", lambda one: not one.status.failures)


async def test_another_cause_is_another_event_and_messages_without_a_cause_change_nothing(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any
) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        image = f"{host}/app/web:1"
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        await fail(client, namespace, "web", image, untrusted(host, image))
        await event_of(client, namespace, "web")
        await wait_for_pull(client, namespace, "web", image, f'Back-off pulling image "{image}"')
        await fail(client, namespace, "other", image, NOT_FOUND.format(image=image))
        event = await event_of(client, namespace, "other")
        assert "image-not-found" in event["message"]
        trust = await trust_of(
            supervisor, "shop", lambda one: len([f for f in one.status.failures if f.host == host]) == 2
        )
        causes = {failure.cause: failure.pods for failure in trust.status.failures if failure.host == host}
        assert causes == {"issuer-not-trusted": 1, "image-not-found": 1}
        assert len(await events_of(client, namespace)) == 2


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """A server with a certificate of a private CA; yields its host and the PEM of the CA."""
    pki.keep_certificates(tmp_path, "corp-root", [pki.Leaf("tls", "registry", hosts=("127.0.0.1",))], datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", (tmp_path / "ca.crt").read_text()


async def test_the_served_chain_decides_if_the_message_does_not(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, served: tuple[str, str]
) -> None:
    client, namespace, (host, ca) = supervisor.client, supervisor.namespace, served
    await supervisor.configure(entry("corp", ca))
    async with supervisor.running() as manager, registry(supervisor, host=host) as (name, _):
        kubelet.silent.add("worker-0")
        image = f"{host}/app/web:1"
        await until(client, REGISTRIES, name, "", lambda one: one.status.anchor is not None)
        await fail(client, namespace, "web", image, untrusted(host, image))
        fingerprint = await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        event = await event_of(client, namespace, "web")
        assert "runtime-stale" in event["message"]
        assert f"The CA is already in force: entry corp, SHA-256 {fingerprint}." in event["message"]
        trust = await trust_of(supervisor, "shop", lambda one: any(source.host == host for source in one.status.images))
        [source] = [one for one in trust.status.images if one.host == host]
        assert (source.image, source.trust) == (image, "Trusted")
        found = await until(
            client, REGISTRIES, name, "", lambda one: any(c.type == "AtRisk" for c in one.status.conditions)
        )
        assert [condition.status for condition in found.status.conditions if condition.type == "AtRisk"] == ["False"]
        manager.cancel()  # otherwise it waits for the silent node


async def test_probes_and_unavailable_clusters_disturb_no_other_pods(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any
) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    await supervisor.configure(entry("corp", make_ca("corp")))
    dead = json.loads(json.dumps(apiserver.kubeconfig))
    dead["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = UNTRUSTED
        await cluster(supervisor, "dead", "dead-0", kubeconfig=dead)
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == ("False", "NotTrusted"))
        image = f"{host}/app/web:1"
        await fail(client, namespace, "web", image, untrusted(host, image))
        await event_of(client, namespace, "web")
        trust = await trust_of(supervisor, "shop", counted(host))
        assert [failure.pods for failure in trust.status.failures if failure.host == host] == [1]
        dead_trust = await client.get(CLUSTER_TRUSTS, "dead", namespace)
        assert dead_trust.status.failures == []
        assert await events_of(client, probe.PROBE_NAMESPACE) == []


async def test_risks_are_reported_before_pulls_fail(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, trustplane: Trustplane
) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (name, host):
        kubelet.messages[host] = UNTRUSTED
        other = f"other-{host}"
        for pod, image in (("a", f"{host}/app:1"), ("b", f"{other}/app:1"), ("c", "busybox:1")):
            spec = {"containers": [{"name": "main", "image": image}], **_LEAN}
            body = {"metadata": {"name": pod, "namespace": namespace}, "spec": spec}
            await client.create(PODS, body)
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)

        def is_assessed(trust: ClusterTrust) -> bool:
            known = {one.host: one.trust for one in trust.status.images}
            return [known.get(name) for name in (host, other, "docker.io")] == ["NotTrusted", "Unknown", "Public"]

        await trust_of(supervisor, "shop", is_assessed)

        def is_at_risk(found: Registry) -> bool:
            return any(
                (condition.type, condition.status) == ("AtRisk", "True") for condition in found.status.conditions
            )

        found = await until(client, REGISTRIES, name, "", is_at_risk)
        [risk] = [condition for condition in found.status.conditions if condition.type == "AtRisk"]
        assert risk.reason == "NotTrusted"
        assert f"cluster {namespace}/shop" in risk.message
        status = ("status", "-n", namespace, "--at-risk")
        of_one, of_all, of_none = await asyncio.gather(
            trustplane.run(*status, "shop", "-o", "json"), trustplane.run(*status), trustplane.run(*status, "nothing")
        )
        code, out, err = of_one
        shown = json.loads(out)
        assert code == 1, err
        [told] = [one for one in shown["risks"] if one["registry"] == host]
        assert (told["kind"], told["subject"]) == ("NotTrusted", f"cluster {namespace}/shop")
        assert other in [one["registry"] for one in shown["unknown"]]
        code, out, _ = of_all
        assert code == 1
        assert host in out
        assert "next pull" in out
        code, _, err = of_none
        assert code == 2
        assert "has no ClusterTrust" in err
