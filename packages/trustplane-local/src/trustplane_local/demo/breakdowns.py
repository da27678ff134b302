"""What goes wrong later: pulls that worked fail, in words that do not tell why. Each is explained, then mended."""

import json
import subprocess
from typing import Any

from trustplane.api.annotations import PROPAGATION
from trustplane.certificates.parsing import parse_pem
from trustplane.reporting.pull_failures import REASON
from trustplane_local import registry
from trustplane_local.demo import faults, manifests
from trustplane_local.demo.fleet import present_pods, wait_failing, wait_running
from trustplane_local.demo.kubectl import ShownKubectl
from trustplane_local.demo.stage import (
    CORP_CREDENTIALS,
    UNTRUSTED,
    Act,
    Stage,
    apply_configuration,
    command_line,
    over_ssh,
    run_trustplane,
)

Json = dict[str, Any]
APP = "shop"
EVENT_SECONDS = 60


def file_removed_from_node(stage: Stage) -> None:
    """The same words, another cause: somebody removed the CA's file from a node."""
    early = stage.fleet.workload("early")
    file = f"/etc/ssl/certs/tkg-{stage.corp.ca_name}.pem"
    over_ssh(stage, "early", f"sudo rm {file} && sudo systemctl restart containerd")
    _replace_pod(early)
    wait_failing(stage.story, early, APP, UNTRUSTED, "the same words again")
    check_diagnosis(stage, "early", early, "trust-not-applied")
    stage.story.say("Another cause, another answer; what it says is done.")
    stage.fleet.supervisor.show("annotate", "tkc", "early", f"{PROPAGATION}=Automatic")
    run_trustplane(stage, "prove", "early", "-n", "default")
    _replace_pod(early)
    wait_running(stage.story, early, APP)
    stage.fleet.supervisor.show("annotate", "tkc", "early", f"{PROPAGATION}-")


def authority_made_anew(stage: Stage) -> None:
    """The registry comes back with a CA of the same name and another key; the cluster takes the new one."""
    corp, late = stage.corp, stage.fleet.workload("late")
    faults.rekey(corp)
    faults.restart(stage, corp)
    _replace_pod(late)
    wait_failing(stage.story, late, APP, UNTRUSTED, "a pod that is made anew cannot pull")
    answer = check_diagnosis(stage, "late", late, "ca-rekeyed")
    wanted = fingerprint(corp.ca.read_bytes())
    found = (answer["authority"] or {}).get("sha256", "")
    stage.story.check(f"its SHA-256 is that of the new CA: {wanted[:16]}...", holds=found == wanted, seen=found)
    stage.authorities[f"{corp.ca_name}-2"] = corp.ca.read_bytes()
    apply_configuration(stage)
    run_trustplane(stage, "update", "--all", "--timeout", "600")
    _replace_pod(late)
    wait_running(stage.story, late, APP)


def certificate_expired(stage: Stage) -> None:
    """The registry's certificate has expired; an Event on the pod says so, unasked."""
    corp, late = stage.corp, stage.fleet.workload("late")
    faults.expire(corp)
    faults.restart(stage, corp)
    _replace_pod(late)
    wait_failing(stage.story, late, APP, "x509: certificate has expired or is not yet valid", "the pod cannot pull")
    _wait_explained(stage, late, "certificate-expired")
    check_diagnosis(stage, "late", late, "certificate-expired")
    stage.story.say("The registry's owner renews it.")
    registry.prepare_registry(corp)
    faults.restart(stage, corp)
    _replace_pod(late)
    wait_running(stage.story, late, APP)


def password_changed(stage: Stage) -> None:
    """The registry's user has another password: the pull secret is the right one, and too old."""
    corp = stage.corp
    faults.change_password(corp)
    faults.restart(stage, corp)
    late = stage.fleet.workload("late")
    _replace_pod(late)
    wait_failing(stage.story, late, APP, "401 Unauthorized", "the registry refuses the pod")
    check_diagnosis(stage, "late", late, "auth-rejected")
    secret = manifests.pull_secret(CORP_CREDENTIALS, corp.host, corp.username, corp.password())
    for cluster in (stage.fleet.workload("early"), late):
        cluster.apply(secret, file="corp-credentials.yaml")
    _replace_pod(late)
    wait_running(stage.story, late, APP)


ACTS: tuple[Act, ...] = (
    ("The same words, another cause: a file is gone from a node", file_removed_from_node),
    ("The registry comes back with a new CA of the same name", authority_made_anew),
    ("The registry's certificate has expired, and the pod is told so", certificate_expired),
    ("The registry's password was changed", password_changed),
)


def check_diagnosis(stage: Stage, cluster: str, kubectl: ShownKubectl, code: str) -> Json:
    """Ask for the cause as a person would, and as a program; check that it is this one alone, for certain."""
    pod = present_pods(kubectl, APP)[-1]["metadata"]["name"]
    command = ("diagnose", "pod", pod, "--cluster", cluster)
    with subprocess.Popen(command_line(stage, *command, "-o", "json"), stdout=subprocess.PIPE) as asked:
        run_trustplane(stage, *command)
        said, _ = asked.communicate()
    answers: list[Json] = json.loads(said)["answers"]
    causes = [(one["code"], one["confidence"]) for answer in answers for one in answer["causes"]]
    stage.story.check(f"one cause, for certain: {code}", holds=causes == [(code, "high")], seen=str(causes))
    return answers[0]


def fingerprint(pem: bytes) -> str:
    """Return the SHA-256 of a PEM certificate, in hexadecimal."""
    return parse_pem(pem).certificates[0].fingerprint


def events_of(description: str) -> str:
    """Return the events of what `kubectl describe` prints."""
    return description[description.rindex("Events:") :]


def _replace_pod(kubectl: ShownKubectl) -> None:
    kubectl.show("delete", "pod", "-l", f"app={APP}", "--grace-period=1", "--wait=false")


def _wait_explained(stage: Stage, kubectl: ShownKubectl, code: str) -> None:
    """Wait until the pod's Event names the cause; show it as kubectl does."""
    pod = present_pods(kubectl, APP)[-1]["metadata"]["name"]

    def probe() -> tuple[bool, str]:
        events = events_of(kubectl.run("describe", "pod", pod))
        return any(REASON in line and f"({code}, " in line for line in events.splitlines()), events

    stage.story.until("the pod was told the cause, unasked", probe, seconds=EVENT_SECONDS)
    events = events_of(kubectl.run("describe", "pod", pod))
    stage.story.shell(f"kubectl --kubeconfig={kubectl.kubeconfig.name} describe pod {pod}  # its events", events)
