"""The acts about failures: a working pull breaks, `trustplane diagnose` finds the cause, and its advice fixes it."""

import json
import subprocess
from typing import Any

from trustplane.api.annotations import PROPAGATION
from trustplane.certificates.parsing import parse_pem
from trustplane.reporting.pull_failures import PULL_EXPLAINED
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
    run_over_ssh,
    run_trustplane,
)

Json = dict[str, Any]
APP = "shop"
EVENT_SECONDS = 60


def remove_file_from_node(stage: Stage) -> None:
    """Remove the CA's file from a node: the error is the same, the cause is not."""
    stage.story.say("Now we break things. First: someone deletes the CA's file from a node of early.")
    early = stage.fleet.open_workload("early")
    file = f"/etc/ssl/certs/tkg-{stage.corp.ca_name}.pem"
    run_over_ssh(stage, "early", f"sudo rm {file} && sudo systemctl restart containerd")
    _replace_pod(early)
    wait_failing(stage.story, early, APP, UNTRUSTED, "the pod fails with the very error of the first act")
    check_diagnosis(stage, "early", early, "trust-not-applied")
    stage.story.say("The CA is configured but missing on this one node. Do what `next` says:")
    stage.fleet.supervisor.show("annotate", "tkc", "early", f"{PROPAGATION}=Automatic")
    run_trustplane(stage, "prove", "early", "-n", "default")
    _replace_pod(early)
    wait_running(stage.story, early, APP)
    stage.fleet.supervisor.show("annotate", "tkc", "early", f"{PROPAGATION}-")


def rekey_authority(stage: Stage) -> None:
    """Restart the registry with a CA of the same name and another key; add the new CA to the cluster's trust."""
    stage.story.say("Next: the registry team reinstalls. The new CA has the same name as the old one, but another key.")
    corp, late = stage.corp, stage.fleet.open_workload("late")
    faults.rekey(corp)
    faults.restart(stage, corp)
    _replace_pod(late)
    wait_failing(stage.story, late, APP, UNTRUSTED, "a new pod cannot pull, and the error is the same once more")
    answer = check_diagnosis(stage, "late", late, "ca-rekeyed")
    expected = fingerprint(corp.ca.read_bytes())
    reported = (answer["authority"] or {}).get("sha256", "")
    claim = f"the reported SHA-256 is that of the new CA: {expected[:16]}..."
    stage.story.check(claim, holds=reported == expected, observed=reported)
    stage.story.say("The fingerprint lets you compare with the CA's owner before you trust it. It matches, so add it:")
    stage.authorities[f"{corp.ca_name}-2"] = corp.ca.read_bytes()
    apply_configuration(stage)
    run_trustplane(stage, "update", "--all", "--timeout", "600")
    _replace_pod(late)
    wait_running(stage.story, late, APP)


def expire_certificate(stage: Stage) -> None:
    """Expire the registry's certificate: an Event explains it on the pod itself."""
    stage.story.say(
        "Next: the registry's certificate expires. This time, developers need not ask: watch the pod's events."
    )
    corp, late = stage.corp, stage.fleet.open_workload("late")
    faults.expire(corp)
    faults.restart(stage, corp)
    _replace_pod(late)
    message = "x509: certificate has expired or is not yet valid"
    wait_failing(stage.story, late, APP, message, "a new pod cannot pull")
    _wait_explained(stage, late, "certificate-expired")
    check_diagnosis(stage, "late", late, "certificate-expired")
    stage.story.say("No node needs a change here. The registry's owner renews the certificate.")
    registry.prepare_registry(corp)
    faults.restart(stage, corp)
    _replace_pod(late)
    wait_running(stage.story, late, APP)


def rotate_password(stage: Stage) -> None:
    """Change the password of the registry's user: the pull secret is outdated."""
    stage.story.say("Last: the registry's password rotates, and the pull secret in the cluster does not.")
    corp = stage.corp
    faults.change_password(corp)
    faults.restart(stage, corp)
    late = stage.fleet.open_workload("late")
    _replace_pod(late)
    wait_failing(stage.story, late, APP, "401 Unauthorized", "the registry rejects the credentials")
    check_diagnosis(stage, "late", late, "auth-rejected")
    stage.story.say("Trust is fine; the password is not. Update the pull secrets:")
    secret = manifests.pull_secret(CORP_CREDENTIALS, corp.host, corp.username, corp.password())
    for cluster in (stage.fleet.open_workload("early"), late):
        cluster.apply(secret, file="corp-credentials.yaml")
    _replace_pod(late)
    wait_running(stage.story, late, APP)


ACTS: tuple[Act, ...] = (
    ("Same error, different cause: a CA file is missing on a node", remove_file_from_node),
    ("Same error again: the registry has a new CA of the same name", rekey_authority),
    ("The registry's certificate expires, and the pod says why", expire_certificate),
    ("The registry's password changes", rotate_password),
)


def check_diagnosis(stage: Stage, cluster: str, kubectl: ShownKubectl, code: str) -> Json:
    """Run `trustplane diagnose` for the reader and, in JSON, for a check: `code` must be the only and certain cause."""
    pod = present_pods(kubectl, APP)[-1]["metadata"]["name"]
    command = ("diagnose", "pod", pod, "--cluster", cluster)
    with subprocess.Popen(command_line(stage, *command, "-o", "json"), stdout=subprocess.PIPE) as process:
        run_trustplane(stage, *command)
        output, _ = process.communicate()
    answers: list[Json] = json.loads(output)["answers"]
    causes = [(cause["code"], cause["confidence"]) for answer in answers for cause in answer["causes"]]
    stage.story.check(f"one cause, high confidence: {code}", holds=causes == [(code, "high")], observed=str(causes))
    return answers[0]


def fingerprint(pem: bytes) -> str:
    """Return the SHA-256 of a PEM certificate, in hexadecimal."""
    return parse_pem(pem).certificates[0].fingerprint


def events_of(description: str) -> str:
    """Return the events in the output of `kubectl describe`."""
    return description[description.rindex("Events:") :]


def _replace_pod(kubectl: ShownKubectl) -> None:
    kubectl.show("delete", "pod", "-l", f"app={APP}", "--grace-period=1", "--wait=false")


def _wait_explained(stage: Stage, kubectl: ShownKubectl, code: str) -> None:
    """Wait until an Event on the pod names the cause; show it as kubectl does."""
    pod = present_pods(kubectl, APP)[-1]["metadata"]["name"]

    def probe() -> tuple[bool, str]:
        events = events_of(kubectl.run("describe", "pod", pod))
        return any(PULL_EXPLAINED in line and f"({code}, " in line for line in events.splitlines()), events

    stage.story.wait_until("an Event on the pod names the cause", probe, seconds=EVENT_SECONDS)
    events = events_of(kubectl.run("describe", "pod", pod))
    stage.story.shell(f"kubectl --kubeconfig={kubectl.kubeconfig.name} describe pod {pod}  # its events", events)
