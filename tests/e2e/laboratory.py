"""The laboratory on a cluster: real nodes with one fault each, a pod for each scenario, and its diagnosis."""

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from oracle.pem import pem

from e2e.clusters import Json, authorities, configure, on_node, update, workers
from laboratory.live import certificates, nodes, others, refusals
from laboratory.live.scenario import Live, Site
from trustplane.api.annotations import CLUSTER_NAME_LABEL, COMPONENT_LABEL, TRUST_COMPONENT
from trustplane.api.core import Secret
from trustplane.clusterapi import secret as trust_secret
from trustplane.reporting.pull_failures import PULL_EXPLAINED
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

NAMESPACE = "laboratory"
FAILED_SECONDS = 150  # a kubelet pulls images one after the other, and some servers never respond
_AT_ONCE = 9  # pods per node: with more, the kubelet reports "pull QPS exceeded" instead of the cause
ANSWERS_SECONDS = 600
_FILE = "/etc/ssl/certs/tkg-{}.pem"
_CERTS = "/etc/containerd/certs.d/{}"
_MARK = "# laboratory"
_ALLOW = {"trustplane.dev/allow-removal": "true"}
# Files must be older than a containerd that starts afterwards, which reads its roots when it first needs them.
_RESTART = """sleep 1.1
systemctl restart containerd
ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d registry.corp.test/none:1 >/dev/null 2>&1 || true
sleep 1.1"""


class Laboratory:
    """The scenarios on a cluster with several workers; the servers run."""

    def __init__(self, stack: Stack, fleet: DemoClusters, cluster: str, site: Site) -> None:
        self.scenarios: list[Live] = [
            scenario for kind in (nodes, certificates, refusals, others) for scenario in kind.scenarios(site)
        ]
        self._stack, self._fleet, self._cluster, self._site = stack, fleet, cluster, site
        self._machines = workers(fleet, cluster)
        self._kubectl = fleet.open_workload(cluster)

    def set_up(self) -> None:
        """Configure the cluster's trust, break nodes, change lists, and wait until every pull failed."""
        self._configure()
        update(self._stack, self._cluster)
        names = self._site.hosts_file(of_nodes=True).replace("\n", f" {_MARK}\n")
        for machine in self._machines:
            here = self._on(machine)
            edits = [_script(one, one.edit) for one in here if one.edit]
            later = [_script(one, one.later) for one in here if one.later]
            known = f"cat >>/etc/hosts <<'END'\n{names}END"
            self._run(machine, "\n".join(["set -e", known, *edits, _RESTART, *later]))
        self._configure({name: one for live in self.scenarios for name, one in live.additions().items()})
        known_elsewhere = [pem(*live.known) for live in self.scenarios if live.known]
        self._fleet.supervisor.apply(_set_of_another_cluster(known_elsewhere), file="another.yaml")
        self._make_pods()

    def _configure(self, added: dict[str, bytes] | None = None) -> None:
        trusted = {name: one for live in self.scenarios for name, one in live.entries().items()}
        scopes = [f"{name}={live.scope}" for live in self.scenarios if live.scope for name in live.entries()]
        wanted = authorities(self._stack) | trusted | (added or {})
        configure(self._fleet, wanted, **_ALLOW, **{"trustplane.dev/registry-scope": ",".join(scopes)})

    def _machine(self, live: Live) -> Json:
        return self._machines[self.scenarios.index(live) % len(self._machines)]

    def _on(self, machine: Json) -> list[Live]:
        return [scenario for scenario in self.scenarios if self._machine(scenario) is machine]

    def _run(self, machine: Json, script: str) -> None:
        on_node(self._fleet, self._cluster, machine, script)

    def _make_pods(self) -> None:
        secrets = [_with_namespace(secret) for live in self.scenarios for secret in live.secrets]
        accounts = [_object("ServiceAccount", live.slug) for live in self.scenarios if live.account]
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self._kubectl.apply(namespace, *secrets, *accounts, file="secrets.yaml")
        size = _AT_ONCE * len(self._machines)
        for first in range(0, len(self.scenarios), size):
            self._fail(self.scenarios[first : first + size])
        for live in self.scenarios:
            if live.account:
                patch = json.dumps({"imagePullSecrets": [{"name": one} for one in live.account]})
                self._kubectl.run("patch", "serviceaccount", live.slug, "-n", NAMESPACE, "-p", patch)

    def _pod(self, live: Live) -> Json:
        container = {"name": "app", "image": live.reference, "imagePullPolicy": live.pull_policy}
        spec = {
            "nodeName": self._machine(live)["status"]["nodeRef"]["name"],
            "hostNetwork": True,  # a node has addresses for some sixty pods
            "automountServiceAccountToken": False,
            "serviceAccountName": live.slug if live.account else "default",
            "containers": [container],
            "imagePullSecrets": [{"name": pull_secret} for pull_secret in live.pull_secrets],
        }
        return {**_object("Pod", live.slug), "spec": spec}

    def _fail(self, scenarios: list[Live]) -> None:
        """Create pods, and wait until the kubelet has reported each one's cause once."""
        waiting = {live.slug for live in scenarios}

        def probe() -> tuple[bool, str]:
            for pod in self._kubectl.get("pods", "-n", NAMESPACE)["items"]:
                if _says_why(pod):
                    waiting.discard(pod["metadata"]["name"])
            return not waiting, f"not yet: {', '.join(sorted(waiting))}"

        self._kubectl.apply(*map(self._pod, scenarios), file="pods.yaml")
        self._fleet.story.wait_until(f"{len(scenarios)} pulls have failed", probe, seconds=FAILED_SECONDS)

    def answers(self) -> list[Json]:
        """Diagnose every pod, in a process that resolves the names of the laboratory."""
        cluster = ("default", self._cluster)
        questions = [_question(scenario) for scenario in self.scenarios]
        request = {"kubeconfig": str(self._stack.kubeconfig), "cluster": cluster, "pods": questions}
        with tempfile.TemporaryDirectory() as folder:
            hosts = Path(folder, "hosts")
            hosts.write_text("127.0.0.1 localhost\n" + self._site.hosts_file(of_nodes=False))
            inside = f'mount --bind "{hosts}" /etc/hosts && exec "$@"'
            program = [sys.executable, "-m", "laboratory.live.diagnosing"]
            process = subprocess.run(
                ["unshare", "--mount", "sh", "-c", inside, "sh", *program],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                check=False,
                timeout=ANSWERS_SECONDS,
                cwd=Path(__file__).parents[1],
            )
        assert process.returncode == 0, process.stderr[-5000:]
        assert refusals.PASSWORD not in process.stdout + process.stderr
        found: list[Json] = json.loads(process.stdout)
        return found

    def explained(self) -> dict[str, list[str]]:
        """Wait until every pod has an Event, and return the Events' notes by scenario."""
        names = {live.slug: live.name for live in self.scenarios}
        notes: dict[str, list[str]] = {}

        def probe() -> tuple[bool, str]:
            notes.clear()
            for event in self._kubectl.get("events", "-n", NAMESPACE, "--field-selector", f"reason={PULL_EXPLAINED}")[
                "items"
            ]:
                notes.setdefault(names[event["involvedObject"]["name"]], []).append(event["message"])
            missing = sorted(set(names.values()) - notes.keys())
            return not missing, f"not told: {', '.join(missing)}"

        self._fleet.story.wait_until("every pod was told why", probe, seconds=60)
        return notes

    def clean(self) -> None:
        """Restore everything."""
        self._kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
        for secret in (one for live in self.scenarios for one in live.secrets if "namespace" in one["metadata"]):
            metadata = secret["metadata"]
            self._kubectl.run("delete", "secret", metadata["name"], "-n", metadata["namespace"], "--ignore-not-found")
        self._fleet.supervisor.run("delete", "secret", "-l", "laboratory", "--ignore-not-found")
        for machine in self._machines:
            names = f"sed '/{_MARK}$/d' /etc/hosts >/run/hosts && cat /run/hosts >/etc/hosts"
            own = f"rm -rf {nodes.DROP_INS}; systemctl daemon-reload"
            self._run(
                machine, "\n".join([names, own, *map(_undone, self._on(machine)), "systemctl restart containerd"])
            )
        configure(self._fleet, authorities(self._stack), **_ALLOW)
        update(self._stack, self._cluster)


def _script(live: Live, template: str) -> str:
    files = [_FILE.format(name) for name in (*live.entries(), *live.additions())] or [""]
    certs = _CERTS.format(live.address)
    return template.format(slug=live.slug, certs=certs, address=live.address, file=files[0], second=files[-1])


def _undone(live: Live) -> str:
    moved = "{second}" if "{second}" in live.edit else "{file}"
    put_back = f"test ! -e /run/lab-{{slug}}.pem || mv /run/lab-{{slug}}.pem {moved}"
    return _script(live, "\n".join([put_back] * bool(live.edit) + ["rm -rf {certs}"] * ("{certs}" in live.later)))


def _object(kind: str, name: str) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}


def _with_namespace(secret: Json) -> Json:
    return {**secret, "metadata": {"namespace": NAMESPACE, **secret["metadata"]}}


def _set_of_another_cluster(pems: list[str]) -> Json:
    """Return the Secret of a set in force, as written by the manager for another cluster; its name has the digest."""
    data = {f"known-{index}.pem": base64.b64encode(pem.encode()).decode() for index, pem in enumerate(pems)}
    trust = trust_secret.parse_set_secret(Secret(data=data))
    assert trust, "the laboratory's own CAs can be read"
    labels = {CLUSTER_NAME_LABEL: "somewhere", COMPONENT_LABEL: TRUST_COMPONENT, "laboratory": ""}
    metadata = {
        "name": trust_secret.set_secret_name("somewhere", trust.digest),
        "namespace": "default",
        "labels": labels,
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": trust_secret.set_data(trust)}


def _says_why(pod: Json) -> bool:
    """Return whether the kubelet has reported the cause; its own rate limit is none, and passes."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    words = str(statuses[0].get("state", {}).get("waiting", {}).get("message", ""))
    return bool(words) and "pull QPS exceeded" not in words


def _question(live: Live) -> Json:
    shown = [secret for secret in live.secrets if secret["metadata"]["name"] in live.pull_secrets]
    logins = [_config(one) for one in shown if "namespace" not in one["metadata"]]
    return {
        "name": live.name,
        "pod": live.slug,
        "namespace": NAMESPACE,
        "reference": live.reference,
        "skopeo": live.by_skopeo,
        "loaded": pem(*live.loaded),
        "login": next((login for login in logins if "auths" in login), None),
    }


def _config(secret: Json) -> Any:
    return json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
