"""`trustplane manager`, `trustplane webhook` and `trustplane update` as processes."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.apiserver.controllers.conftest import SYSTEM, Supervisor, entry, make_ca, until

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.conditions import TRUST_CURRENT, TRUST_VALID
from trustplane.api.configuration import NAME
from trustplane.api.meta import condition
from trustplane.kube.kinds import CONFIGURATIONS, LEASES
from trustplane_local import pki

# Without proof: the machines of this test have no kubelets.
_UPDATE_ALL = ("update", "--all", "--no-prove", "-o", "json")


class Trustplane:
    """Run Trustplane's commands against the API server of the test."""

    def __init__(self, kubeconfig: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "COLUMNS": "200"}

    @contextlib.asynccontextmanager
    async def started(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a command during a block; kill it at the end, unless it has exited."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from trustplane.cli import main; main()",
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        """Run a command until it exits; return its status, output and errors."""
        async with self.started(*arguments) as process:
            out, err = await asyncio.wait_for(process.communicate(), 60)
            return process.returncode, out.decode(), err.decode()


@pytest.fixture
def trustplane(apiserver: Any, tmp_path: Path) -> Trustplane:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(apiserver.kubeconfig))
    return Trustplane(file)


async def _line(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """Wait for a line of the log."""
    assert process.stderr
    async with asyncio.timeout(30):
        async for line in process.stderr:
            if f'"{event}"' in line.decode():
                found: dict[str, Any] = json.loads(line)
                return found
    pytest.fail(f"no {event!r} in the log")


async def test_the_manager_leads_works_and_exits_cleanly(supervisor: Supervisor, trustplane: Trustplane) -> None:
    async with trustplane.started("manager") as process:
        await _line(process, "leading")
        await until(supervisor.client, CONFIGURATIONS, NAME, "", lambda _: True)
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, out) == (0, b"")
        assert b"Traceback" not in err
    lease = await supervisor.client.get(LEASES, "trustplane-manager", SYSTEM)
    assert not lease["spec"].get("holderIdentity")


async def test_a_manager_that_loses_its_lease_exits_with_the_status_for_a_restart(
    supervisor: Supervisor, trustplane: Trustplane
) -> None:
    async with trustplane.started("manager") as process:
        await _line(process, "leading")
        other = {"spec": {"holderIdentity": "other", "leaseDurationSeconds": 30}}
        await supervisor.client.patch(LEASES, "trustplane-manager", SYSTEM, other)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 75
        assert b"The manager stopped leading" in err
    await supervisor.client.delete(LEASES, "trustplane-manager", SYSTEM)


@pytest.fixture
def served(tmp_path: Path) -> tuple[ssl.SSLContext, list[str]]:
    """A client's TLS context, and the arguments of a webhook that it trusts."""
    leaves = [pki.Leaf("tls", "webhook", hosts=("127.0.0.1",))]
    pki.keep_certificates(tmp_path, "test", leaves, dt.datetime.now(dt.UTC))
    arguments = ["--port", "0", "--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key")]
    return ssl.create_default_context(cafile=str(tmp_path / "ca.crt")), arguments


async def test_the_webhook_answers_the_api_server(
    trustplane: Trustplane, served: tuple[ssl.SSLContext, list[str]]
) -> None:
    context, arguments = served
    async with trustplane.started("webhook", *arguments) as process, aiohttp.ClientSession() as session:
        port = (await _line(process, "serving the webhook"))["port"]
        kind = {"group": CONFIGURATIONS.group, "version": "v1alpha3", "kind": CONFIGURATIONS.kind}
        listed = {"additionalTrustedCAs": [entry("bad", "no certificate")]}
        document = {"metadata": {"name": NAME}, "spec": {"trust": listed}}
        request = {"uid": "u", "kind": kind, "operation": "CREATE", "name": NAME, "object": document}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        url = f"https://127.0.0.1:{port}"
        async with session.post(f"{url}/admission", json=review, ssl=context) as response:
            answer = (await response.json())["response"]
        assert (answer["uid"], answer["allowed"]) == ("u", False)
        assert "(bad)" in answer["status"]["message"]
        async with session.post(f"{url}/hooks.runtime.cluster.x-k8s.io/v1alpha1/discovery", ssl=context) as response:
            assert response.status == 404

        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, b"Traceback" in err) == (0, False)


async def _prepare(supervisor: Supervisor, *names: str) -> None:
    """Create clusters without entry b of the service, whose machines Cluster API replaces."""
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    await supervisor.configure(a)
    for name in names:
        await supervisor.make(name)
        await supervisor.annotate(name, update_strategy="Replace")
        await supervisor.trusting(name, "a")
        await supervisor.populate(name)
    await supervisor.configure(a, b)
    for name in names:
        await supervisor.tkc(name, lambda tkc: _reason(tkc) == "Held")


def _reason(tkc: TanzuKubernetesCluster, type_: str = TRUST_CURRENT) -> str:
    found = condition([*tkc.status.conditions], type_)
    return found.reason if found else ""


async def test_update_waits_until_every_machine_has_the_trust(supervisor: Supervisor, trustplane: Trustplane) -> None:
    async with supervisor.running():
        await _prepare(supervisor, "c", "d")
        async with trustplane.started(*_UPDATE_ALL, "-n", supervisor.namespace) as process:
            for name in ("c", "d"):
                await supervisor.trusting(name, "a", "b")
            await supervisor.tkc("c", lambda tkc: _reason(tkc) == "Updating")
            assert process.stderr
            shown = ""
            while f"{supervisor.namespace}/c: Updating: 0 of 3 machines up to date" not in shown:
                shown += (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
            async with supervisor.following("c", "d"):
                out, _ = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0
            rows = json.loads(out)
            assert [(row["name"], row["state"], row["upToDate"]) for row in rows] == [
                ("c", "Current", 3),
                ("d", "Current", 3),
            ]


async def test_update_of_a_current_cluster_reports_it_and_rolls_nothing(
    supervisor: Supervisor, trustplane: Trustplane
) -> None:
    async with supervisor.running():
        await supervisor.configure(entry("a", make_ca("a")))
        await supervisor.make("c")
        before = await supervisor.trusting("c", "a")
        await supervisor.play("c")
        await supervisor.tkc("c", lambda tkc: _reason(tkc) == "Created")
        status, out, _ = await trustplane.run("update", "c", "-n", supervisor.namespace)
        assert status == 0
        assert "Current" in out
        assert (await supervisor.cluster("c")).metadata.generation == before.metadata.generation


async def test_update_times_out_and_the_update_continues(supervisor: Supervisor, trustplane: Trustplane) -> None:
    async with supervisor.running():
        await _prepare(supervisor, "c")
        status, out, err = await trustplane.run("update", "c", "-n", supervisor.namespace, "--timeout", "2")
        assert status == 75
        assert "Updating" in out
        assert "the update takes longer; it continues" in err
        await supervisor.trusting("c", "a", "b")


async def test_update_reports_why_it_changes_nothing(supervisor: Supervisor, trustplane: Trustplane) -> None:
    async with supervisor.running():
        await _prepare(supervisor, "c")
        await supervisor.configure(entry("bad", "no certificate"))
        await supervisor.tkc("c", lambda tkc: _reason(tkc, TRUST_VALID) == "Invalid")
        status, out, err = await trustplane.run("update", "c", "-n", supervisor.namespace)
        assert status == 1
        assert "(bad)" in out + err


async def test_update_can_be_interrupted_and_the_update_continues(
    supervisor: Supervisor, trustplane: Trustplane
) -> None:
    async with supervisor.running():
        await _prepare(supervisor, "c")
        async with trustplane.started("update", "c", "-n", supervisor.namespace) as process:
            assert process.stderr
            await asyncio.wait_for(process.stderr.readline(), 30)
            process.send_signal(signal.SIGINT)
            _, err = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 130
            assert f"The update continues. Check: kubectl get tkc -n {supervisor.namespace}" in err.decode()
        await supervisor.trusting("c", "a", "b")


async def test_update_without_waiting_only_requests(supervisor: Supervisor, trustplane: Trustplane) -> None:
    async with supervisor.running():
        await _prepare(supervisor, "c")
        status, _, _ = await trustplane.run("update", "c", "-n", supervisor.namespace, "--no-wait")
        assert status == 0
        await supervisor.trusting("c", "a", "b")


async def test_update_does_not_wait_for_a_scheduled_one(supervisor: Supervisor, trustplane: Trustplane) -> None:
    async with supervisor.running():
        await _prepare(supervisor, "c")
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=7)
        await supervisor.annotate("c", update_requested_at=later.isoformat())
        status, _, _ = await trustplane.run("update", "c", "-n", supervisor.namespace, "--no-wait")
        assert status == 0
        await supervisor.trusting("c", "a", "b")


async def test_an_unknown_cluster_is_status_2(supervisor: Supervisor, trustplane: Trustplane) -> None:
    status, _, err = await trustplane.run("update", "none", "-n", supervisor.namespace)
    assert status == 2
    assert f"Namespace {supervisor.namespace} has no TanzuKubernetesCluster none" in err
