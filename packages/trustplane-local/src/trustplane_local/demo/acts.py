"""The main job: from the first refused pull to a CA that is removed again. Each act ends when its claims were seen."""

import datetime as dt
import json
from collections.abc import Callable

from trustplane_local import pki
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import failed_pulls, running_containers, wait_failing, wait_running
from trustplane_local.demo.stage import (
    CORP_CREDENTIALS,
    UNTRUSTED,
    Act,
    Stage,
    apply_configuration,
    over_ssh,
    run_trustplane,
)
from trustplane_local.stack import Stack

COMPANY_CA = "CompanyInternalCA-2"
APPS_CREDENTIALS = "apps-credentials"


def without_trust(stage: Stage) -> None:
    """A cluster made before any configuration cannot pull from the private registry."""
    supervisor = stage.fleet.supervisor
    supervisor.show("get", "tkgserviceconfigurations")
    supervisor.apply(manifests.registry_manifest(stage.corp.host), file="registry.yaml")
    stage.story.say("A Registry names what every node is to trust, and to prove.")
    supervisor.show("get", "tkr")
    supervisor.apply(manifests.cluster_manifest("early", stage.release()), file="early.yaml")
    stage.fleet.wait_ready("early")
    supervisor.show("get", "tkc")
    early = stage.fleet.workload("early")
    early.show("get", "nodes")
    secret = manifests.pull_secret(CORP_CREDENTIALS, stage.corp.host, stage.corp.username, stage.corp.password())
    early.apply(secret, file="corp-credentials.yaml")
    early.apply(manifests.deployment_manifest("shop", stage.corp.image, credentials=CORP_CREDENTIALS), file="shop.yaml")
    wait_failing(
        stage.story, early, "shop", UNTRUSTED, "the pod's image cannot be pulled: the node does not trust the registry"
    )


def first_configuration(stage: Stage) -> None:
    """The first customisation of the service configuration updates the cluster that exists."""
    stage.authorities = {stage.corp.ca_name: stage.corp.ca.read_bytes(), COMPANY_CA: company_ca(stage.stack)}
    apply_configuration(stage)
    late = manifests.cluster_manifest("late", stage.release(), workers=2)
    stage.fleet.supervisor.apply(late, file="late.yaml")
    stage.story.say("A second cluster, late, is made at the same time; a later act looks at it.")
    stage.fleet.wait_proven("early")
    stage.fleet.supervisor.show("get", "machines.cluster.x-k8s.io")
    early = stage.fleet.workload("early")
    stage.story.say("The same workload, with its imagePullSecrets. Nothing was added to the kubeconfig.")
    wait_running(stage.story, early, "shop")


def credentials(stage: Stage) -> None:
    """Without the pull secret the registry refuses the credentials; trust is not the matter."""
    early = stage.fleet.workload("early")
    early.apply(manifests.deployment_manifest("anonymous", stage.corp.image, credentials=None), file="anonymous.yaml")
    refusal = "authorization failed: no basic auth credentials"
    wait_failing(stage.story, early, "anonymous", refusal, "without imagePullSecrets it is refused for credentials")
    messages = [event["message"] for event in failed_pulls(early, "anonymous")]
    stage.story.check("and not for trust", holds=not any("x509" in one for one in messages), seen=str(messages))
    early.run("delete", "deployment", "anonymous")


def trusted_from_birth(stage: Stage) -> None:
    """A cluster made after the configuration pulls at its first try."""
    stage.fleet.wait_ready("late")
    late = stage.fleet.workload("late")
    secret = manifests.pull_secret(CORP_CREDENTIALS, stage.corp.host, stage.corp.username, stage.corp.password())
    late.apply(secret, file="corp-credentials.yaml")
    late.apply(manifests.deployment_manifest("shop", stage.corp.image, credentials=CORP_CREDENTIALS), file="shop.yaml")
    wait_running(stage.story, late, "shop")
    messages = [event["message"] for event in failed_pulls(late, "shop")]
    stage.story.check("no pull failed before it", holds=not messages, seen=str(messages))


def second_authority(stage: Stage) -> None:
    """A CA added later starts nothing by itself; the cluster is shown as not current."""
    before = {name: stage.fleet.names(name) for name in ("early", "late")}
    stage.authorities[stage.apps.ca_name] = stage.apps.ca.read_bytes()
    plan_configuration(stage)
    apply_configuration(stage)
    for name in before:
        stage.story.until(f"{name} is shown as not current", _not_current(stage, name), seconds=30)
    stage.story.shell(
        "kubectl get tkc late -o jsonpath=...TrustCurrent.message", stage.fleet.condition("late", "TrustCurrent")[1]
    )
    after = {name: stage.fleet.names(name) for name in before}
    stage.story.check("no machine was replaced", holds=before == after, seen=f"{before} became {after}")


def update_on_request(stage: Stage) -> None:
    """On request the cluster takes the current trust: no machine is replaced, no pod stops, every node proves it."""
    late = stage.fleet.workload("late")
    machines, containers = stage.fleet.names("late"), running_containers(late, "shop")
    stage.fleet.supervisor.apply(manifests.registry_manifest(stage.apps.host), file="registry-apps.yaml")
    run_trustplane(stage, "update", "late", "--timeout", "600")
    run_trustplane(stage, "status", "late")
    stage.story.check("no machine was replaced", holds=stage.fleet.names("late") == machines)
    after = running_containers(late, "shop")
    stage.story.check("the containers of shop were not restarted", holds=after == containers, seen=str(after))
    secret = manifests.pull_secret(APPS_CREDENTIALS, stage.apps.host, stage.apps.username, stage.apps.password())
    late.apply(secret, file="apps-credentials.yaml")
    late.apply(manifests.deployment_manifest("cart", stage.apps.image, credentials=APPS_CREDENTIALS), file="cart.yaml")
    wait_running(stage.story, late, "cart")


def on_the_node(stage: Stage) -> None:
    """The file and the handshake, seen over SSH on a worker."""
    host, file = stage.apps.host, f"/etc/ssl/certs/tkg-{stage.apps.ca_name}.pem"
    commands = (
        "ls -l /etc/ssl/certs/ | grep tkg-",
        (
            f"openssl s_client -connect {host}:443 -servername {host} -CAfile {file} -verify_return_error"
            " </dev/null 2>&1 | grep -E 'subject=|issuer=|Verify return code'"
        ),
    )
    listing, handshake = over_ssh(stage, "late", *commands)
    for name in stage.authorities:
        stage.story.check(f"/etc/ssl/certs/tkg-{name}.pem is there", holds=f"tkg-{name}.pem" in listing, seen=listing)
    stage.story.check(
        "a TLS handshake from the node verifies", holds="Verify return code: 0 (ok)" in handshake, seen=handshake
    )


def removal(stage: Stage) -> None:
    """A CA that is removed is gone: every kubelet refuses the registry from then on."""
    machines = stage.fleet.names("late")
    stage.fleet.supervisor.show("delete", "registries.trustplane.dev", "apps")
    del stage.authorities[stage.apps.ca_name]
    apply_configuration(stage)
    run_trustplane(stage, "update", "late", "--timeout", "600")
    late = stage.fleet.workload("late")
    late.run("delete", "deployment", "cart")
    late.apply(manifests.deployment_manifest("cart", stage.apps.image, credentials=APPS_CREDENTIALS), file="cart.yaml")
    wait_failing(stage.story, late, "cart", UNTRUSTED, "the registry is not trusted any more")
    proof = ("prove", "--registry", stage.apps.host)
    run_trustplane(stage, *proof, kubeconfig=late.kubeconfig, status=1)
    stage.story.say("Every node says so: that is the proof of the removal. The command needs nothing but a kubeconfig.")
    stage.story.check("no machine was replaced", holds=stage.fleet.names("late") == machines)


ACTS: tuple[Act, ...] = (
    ("A cluster without the trust: ErrImagePull", without_trust),
    ("The first TkgServiceConfiguration updates the existing cluster", first_configuration),
    ("Credentials are another matter", credentials),
    ("A new cluster trusts from birth", trusted_from_birth),
    ("A second CA: nothing rolls, the clusters are shown as not current", second_authority),
    ("Taken on request, in place, and proven by every node", update_on_request),
    ("Seen on the node, over SSH", on_the_node),
    ("Removed in place, and refused from then on", removal),
)


def plan_configuration(stage: Stage) -> None:
    """Show what the configuration would do, before anyone applies it."""
    file = stage.stack.folder / "demo" / "tkgserviceconfiguration.yaml"
    file.write_text(json.dumps(manifests.configuration_manifest(stage.authorities)))
    run_trustplane(stage, "plan", "-f", str(file))


def company_ca(stack: Stack) -> bytes:
    """Return the second certificate of the customer's page: a CA of something else, which does no harm."""
    folder = stack.folder / "demo" / "company"
    pki.keep_certificates(folder, COMPANY_CA, [], dt.datetime.now(dt.UTC))
    return (folder / "ca.crt").read_bytes()


def _not_current(stage: Stage, cluster: str) -> Callable[[], tuple[bool, str]]:
    def probe() -> tuple[bool, str]:
        status, message = stage.fleet.condition(cluster, "TrustCurrent")
        return status == "False" and stage.apps.ca_name in message, f"TrustCurrent={status} {message}"

    return probe
