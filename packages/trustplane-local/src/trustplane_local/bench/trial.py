"""Changes of trust on one cluster, each timed, and checked by pulls that Trustplane does not make."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from trustplane.api.clustertrust import PROVEN
from trustplane.kube.client import Client
from trustplane.kube.kinds import DEPLOYMENTS, PLAIN_SECRETS
from trustplane.proof.verdict import NotTrusted, ProofVerdict, Trusted
from trustplane_local.bench.fleet import MANAGER, MeasuredCluster
from trustplane_local.bench.load import COUNTING_SCRIPT
from trustplane_local.bench.progress import Stopwatch
from trustplane_local.bench.reports import Reports
from trustplane_local.bench.result import CrossCheck
from trustplane_local.demo import manifests
from trustplane_local.registry import PrivateRegistry

SECONDS: Final = 1200.0  # for one change
APP: Final = "counter"

Authorities = Mapping[str, bytes]


class Trial:
    """One cluster under test.

    Args:
        fleet: The cluster, which exists.
        workload: Client of it.
        reports: Trustplane's reports about it.
        registry: The registry whose CA is added and removed.
        sizes: How many machines each group has.
        report: Called with a line for people.
    """

    def __init__(
        self,
        fleet: MeasuredCluster,
        workload: Client,
        reports: Reports,
        registry: PrivateRegistry,
        sizes: Mapping[str, int],
        report: Callable[[str], None],
    ) -> None:
        self.checks: list[CrossCheck] = []
        self.fleet = fleet
        self.workload = workload
        self.reports = reports
        self._registry = registry
        self._sizes = sizes
        self._report = report

    async def start_pod(self, registry: PrivateRegistry) -> None:
        """Start the pod that counts, with an image of a registry, and wait until it runs."""
        secret = manifests.pull_secret(APP, registry.host, registry.username, registry.password())
        await self.workload.apply(PLAIN_SECRETS, secret, manager=MANAGER)
        body = manifests.deployment_manifest(APP, registry.image, credentials=APP)
        body["spec"]["template"]["spec"]["containers"][0]["command"] = ["/bin/busybox", "sh", "-c", COUNTING_SCRIPT]
        await self.workload.apply(DEPLOYMENTS, body, manager=MANAGER)

        async def is_running() -> bool:
            deployment = await self.workload.get(DEPLOYMENTS, APP, "default")
            return bool((deployment.get("status") or {}).get("readyReplicas"))

        await self.fleet.until("the counting pod runs", is_running, seconds=180)

    async def change(self, title: str, authorities: Authorities, goal: str = PROVEN) -> dict[str, float]:
        """Change the configuration, have the cluster take it, and wait until every machine has reached the goal.

        Args:
            title: What is changed.
            authorities: PEM certificates by name, all of them.
            goal: PROVEN, or NOT_TRUSTED where the CA of the registry was removed.

        Returns:
            Seconds from the apply of the configuration, by group of machines.

        Raises:
            TransientError: It takes too long.
        """
        began = time.monotonic()
        await self.fleet.configure(authorities)
        requested_at = await self.fleet.request()
        watch = Stopwatch(began, requested_at, self._sizes, goal)
        seconds = await self.reports.time(watch, seconds=SECONDS)
        spent = ", ".join(f"{group} {spent:.1f} s" for group, spent in seconds.items())
        check = await self._check(title, goal)
        self._report(f"{title}: {spent}; independent pulls {'agree' if check.agrees else f'differ: {check.message}'}")
        return seconds

    async def _check(self, title: str, goal: str) -> CrossCheck:
        verdicts = await self.fleet.pull(self.workload, self._registry)
        check = cross_check(title, verdicts, is_trusted=goal == PROVEN)
        self.checks.append(check)
        return check


def cross_check(title: str, verdicts: Mapping[str, ProofVerdict], *, is_trusted: bool) -> CrossCheck:
    """Judge whether the kubelets' answers, by Node, are those that Trustplane's report promises."""
    wrong = [f"{node}: {verdict}" for node, verdict in verdicts.items() if not _fits(verdict, is_trusted=is_trusted)]
    message = "; ".join(wrong) if verdicts else "no worker answered"
    return CrossCheck(title, agrees=not message, message=message)


def _fits(verdict: ProofVerdict, *, is_trusted: bool) -> bool:
    if is_trusted:
        return isinstance(verdict, Trusted) and verdict.pulled
    return isinstance(verdict, NotTrusted)
