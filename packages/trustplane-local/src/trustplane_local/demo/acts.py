"""The acts of the main job, from the first failed pull to a removed CA. Each act ends once its claims hold."""

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
    run_over_ssh,
    run_trustplane,
)
from trustplane_local.stack import Stack

COMPANY_CA = "CompanyInternalCA-2"
APPS_CREDENTIALS = "apps-credentials"


def fail_without_trust(stage: Stage) -> None:
    """Show that a cluster without trust configuration cannot pull from the private registry."""
    supervisor = stage.fleet.supervisor
    stage.story.say("A private registry, a CA that no node knows, and no trust configured: the usual first day.")
    supervisor.show("get", "tkgserviceconfigurations")
    supervisor.apply(manifests.registry_manifest(stage.corp.host), file="registry.yaml")
    stage.story.say(
        "A Registry object asks every node for proof: a real image pull that shows it trusts this registry."
    )
    supervisor.show("get", "tkr")
    supervisor.apply(manifests.cluster_manifest("early", stage.release()), file="early.yaml")
    stage.fleet.wait_ready("early")
    supervisor.show("get", "tkc")
    early = stage.fleet.open_workload("early")
    early.show("get", "nodes")
    secret = manifests.pull_secret(CORP_CREDENTIALS, stage.corp.host, stage.corp.username, stage.corp.password())
    early.apply(secret, file="corp-credentials.yaml")
    early.apply(manifests.deployment_manifest("shop", stage.corp.image, credentials=CORP_CREDENTIALS), file="shop.yaml")
    claim = "the kubelet cannot pull the image: the node does not trust the registry's CA"
    wait_failing(stage.story, early, "shop", UNTRUSTED, claim)


def configure_trust(stage: Stage) -> None:
    """Apply the first service configuration, which also updates the existing cluster."""
    stage.story.say(
        "One object fixes it for the whole fleet: the TkgServiceConfiguration that you may know from vSphere."
    )
    stage.authorities = {stage.corp.ca_name: stage.corp.ca.read_bytes(), COMPANY_CA: create_company_ca(stage.stack)}
    apply_configuration(stage)
    late = manifests.cluster_manifest("late", stage.release(), workers=2)
    stage.fleet.supervisor.apply(late, file="late.yaml")
    stage.story.say("A second cluster, late, starts to boot in the background. We visit it in a minute.")
    stage.fleet.wait_proven("early")
    stage.fleet.supervisor.show("get", "machines.cluster.x-k8s.io")
    early = stage.fleet.open_workload("early")
    stage.story.say("Same Deployment, same pull secret, untouched kubeconfig. This time, the pull works:")
    wait_running(stage.story, early, "shop")


def require_credentials(stage: Stage) -> None:
    """Show that a pull without credentials still fails, but no longer because of trust."""
    stage.story.say("Trust does not grant access. Without a pull secret, TLS succeeds and the registry still says no.")
    early = stage.fleet.open_workload("early")
    early.apply(manifests.deployment_manifest("anonymous", stage.corp.image, credentials=None), file="anonymous.yaml")
    refusal = "authorization failed: no basic auth credentials"
    wait_failing(stage.story, early, "anonymous", refusal, "without imagePullSecrets, the registry refuses the pull")
    messages = [event["message"] for event in failed_pulls(early, "anonymous")]
    is_trusted = not any("x509" in message for message in messages)
    stage.story.check("no message mentions x509: trust is not the problem", holds=is_trusted, observed=str(messages))
    early.run("delete", "deployment", "anonymous")


def boot_with_trust(stage: Stage) -> None:
    """Show that a cluster created after the configuration pulls at its first attempt."""
    stage.story.say("Cluster late was created after the configuration, so its machines boot with the CAs.")
    stage.fleet.wait_ready("late")
    late = stage.fleet.open_workload("late")
    secret = manifests.pull_secret(CORP_CREDENTIALS, stage.corp.host, stage.corp.username, stage.corp.password())
    late.apply(secret, file="corp-credentials.yaml")
    late.apply(manifests.deployment_manifest("shop", stage.corp.image, credentials=CORP_CREDENTIALS), file="shop.yaml")
    wait_running(stage.story, late, "shop")
    messages = [event["message"] for event in failed_pulls(late, "shop")]
    stage.story.check("the first attempt succeeded", holds=not messages, observed=str(messages))


def add_second_authority(stage: Stage) -> None:
    """Add a CA: clusters are reported as not current, and nothing else happens."""
    stage.story.say("A second registry brings a second CA. First, a dry run: what would change, and where?")
    before = {name: stage.fleet.machine_names(name) for name in ("early", "late")}
    stage.authorities[stage.apps.ca_name] = stage.apps.ca.read_bytes()
    plan_configuration(stage)
    stage.story.say("Now apply it. Running clusters keep their trust until their owners ask for the update.")
    apply_configuration(stage)
    for name in before:
        stage.story.wait_until(f"{name} is reported as not current", _not_current(stage, name), seconds=30)
    stage.story.shell(
        "kubectl get tkc late -o jsonpath=...TrustCurrent.message",
        stage.fleet.read_condition("late", "TrustCurrent")[1],
    )
    after = {name: stage.fleet.machine_names(name) for name in before}
    stage.story.check("no machine was replaced", holds=before == after, observed=f"{before} became {after}")


def update_on_request(stage: Stage) -> None:
    """Update a cluster in place: no machine is replaced, no container restarts, and every node proves its trust."""
    stage.story.say("The owner of late asks for it. Watch the nodes prove the new CA, while shop keeps running.")
    late = stage.fleet.open_workload("late")
    machines, containers = stage.fleet.machine_names("late"), running_containers(late, "shop")
    stage.fleet.supervisor.apply(manifests.registry_manifest(stage.apps.host), file="registry-apps.yaml")
    run_trustplane(stage, "update", "late", "--timeout", "600")
    run_trustplane(stage, "status", "late")
    stage.story.check("no machine was replaced", holds=stage.fleet.machine_names("late") == machines)
    after = running_containers(late, "shop")
    stage.story.check("the containers of shop were not restarted", holds=after == containers, observed=str(after))
    secret = manifests.pull_secret(APPS_CREDENTIALS, stage.apps.host, stage.apps.username, stage.apps.password())
    late.apply(secret, file="apps-credentials.yaml")
    late.apply(manifests.deployment_manifest("cart", stage.apps.image, credentials=APPS_CREDENTIALS), file="cart.yaml")
    wait_running(stage.story, late, "cart")


def show_node(stage: Stage) -> None:
    """Show the files and a TLS handshake on a worker, over SSH."""
    stage.story.say(
        "Don't take our word for it. Log in to a worker, list the files, and shake hands with the registry."
    )
    host, file = stage.apps.host, f"/etc/ssl/certs/tkg-{stage.apps.ca_name}.pem"
    commands = (
        "ls -l /etc/ssl/certs/ | grep tkg-",
        (
            f"openssl s_client -connect {host}:443 -servername {host} -CAfile {file} -verify_return_error"
            " </dev/null 2>&1 | grep -E 'subject=|issuer=|Verify return code'"
        ),
    )
    listing, handshake = run_over_ssh(stage, "late", *commands)
    for name in stage.authorities:
        path = f"/etc/ssl/certs/tkg-{name}.pem"
        stage.story.check(f"{path} exists", holds=f"tkg-{name}.pem" in listing, observed=listing)
    is_verified = "Verify return code: 0 (ok)" in handshake
    stage.story.check("the TLS handshake verifies with that file", holds=is_verified, observed=handshake)


def remove_authority(stage: Stage) -> None:
    """Remove a CA, and show that every kubelet refuses its registry from then on."""
    stage.story.say("Revocation is the harder half: take the CA out of the list, and prove that it is gone.")
    machines = stage.fleet.machine_names("late")
    stage.fleet.supervisor.show("delete", "registries.trustplane.dev", "apps")
    del stage.authorities[stage.apps.ca_name]
    apply_configuration(stage)
    run_trustplane(stage, "update", "late", "--timeout", "600")
    late = stage.fleet.open_workload("late")
    late.run("delete", "deployment", "cart")
    late.apply(manifests.deployment_manifest("cart", stage.apps.image, credentials=APPS_CREDENTIALS), file="cart.yaml")
    wait_failing(stage.story, late, "cart", UNTRUSTED, "the node no longer trusts the registry")
    stage.story.say("That was one node. Ask all of them: a kubeconfig is all this command needs.")
    proof = ("prove", "--registry", stage.apps.host)
    run_trustplane(stage, *proof, kubeconfig=late.kubeconfig, status=1)
    stage.story.say("NotTrusted on every node, from the kubelets themselves: the removal is proven.")
    stage.story.check("no machine was replaced", holds=stage.fleet.machine_names("late") == machines)


ACTS: tuple[Act, ...] = (
    ("The problem: ErrImagePull", fail_without_trust),
    ("The fix: one TkgServiceConfiguration", configure_trust),
    ("Trusted, but not authorized: pull secrets still count", require_credentials),
    ("A new cluster trusts the registry from first boot", boot_with_trust),
    ("A second CA: preview it, apply it, and nothing rolls", add_second_authority),
    ("Update on request: in place, and proven by every node", update_on_request),
    ("See for yourself: on the node, over SSH", show_node),
    ("Remove the CA, and prove that it is gone", remove_authority),
)


def plan_configuration(stage: Stage) -> None:
    """Show the configuration's effects before it is applied."""
    file = stage.stack.folder / "demo" / "tkgserviceconfiguration.yaml"
    file.write_text(json.dumps(manifests.configuration_manifest(stage.authorities)))
    run_trustplane(stage, "plan", "-f", str(file))


def create_company_ca(stack: Stack) -> bytes:
    """Create the second CA of VMware's documentation example, and return its certificate. No registry uses it."""
    folder = stack.folder / "demo" / "company"
    pki.keep_certificates(folder, COMPANY_CA, [], dt.datetime.now(dt.UTC))
    return (folder / "ca.crt").read_bytes()


def _not_current(stage: Stage, cluster: str) -> Callable[[], tuple[bool, str]]:
    def probe() -> tuple[bool, str]:
        status, message = stage.fleet.read_condition(cluster, "TrustCurrent")
        return status == "False" and stage.apps.ca_name in message, f"TrustCurrent={status} {message}"

    return probe
