"""The manifests of `deploy/` agree with each other, and with the commands that they run."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from starlette.routing import Route

from trustplane.api import webhooks
from trustplane.api.annotations import COMPONENT_LABEL
from trustplane.api.configuration import SYSTEM_NAMESPACE
from trustplane.api.crds import crds
from trustplane.api.meta import Json
from trustplane.cli import main, manager
from trustplane.cli.commands import COMMANDS
from trustplane.clusterapi.cluster import CLASS_NAMESPACE
from trustplane.kube import health
from trustplane.webhooks.application import create_application

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
OBJECTS: list[Json] = [one for name in FILES for one in yaml.safe_load_all((DEPLOY / name).read_text())]
NAMES = ("manager", "webhook")
IMAGE = "trustplane"
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
}
# Nothing of these is any of our business in the management cluster.
FOREIGN = {"configmaps", "deployments", "nodes", "pods", "roles", "serviceaccounts"}
READ_ONLY = {"get", "list", "watch"}


def found(kind: str, name: str = "") -> Json:
    """Return the one object of a kind and a name."""
    [one] = [one for one in OBJECTS if one["kind"] == kind and name in ("", one["metadata"]["name"])]
    return one


def pod(name: str) -> Json:
    spec: Json = found("Deployment", f"trustplane-{name}")["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Json:
    [one] = pod(name)["containers"]
    return dict(one)


def options(name: str) -> dict[str, Any]:
    """Return the values that the command takes from the container's arguments; it fails on any that it has not got."""
    command, *rest = container(name)["args"]
    assert command in COMMANDS
    found_command = main.get_command(click.Context(main), command)
    assert found_command
    return found_command.make_context(command, list(rest)).params


def ports(name: str) -> dict[str, Json]:
    """Return the container's ports by name."""
    return {one["name"]: one for one in container(name)["ports"]}


def policies(name: str) -> list[Json]:
    """Return the NetworkPolicies that select the pods."""
    labels = found("Deployment", f"trustplane-{name}")["spec"]["template"]["metadata"]["labels"].items()
    selected = [one["spec"] for one in OBJECTS if one["kind"] == "NetworkPolicy"]
    return [one for one in selected if one["podSelector"].get("matchLabels", {}).items() <= labels]


def rules(account: str) -> Iterator[Json]:
    for one in OBJECTS:
        if one["kind"] in {"ClusterRole", "Role"} and one["metadata"]["name"] == f"trustplane-{account}":
            yield from one["rules"]


def verbs(account: str, resource: str) -> set[str]:
    return {verb for rule in rules(account) if resource in rule["resources"] for verb in rule["verbs"]}


def test_every_file_is_applied_and_every_object_named_once() -> None:
    assert sorted(FILES) == sorted({one.name for one in DEPLOY.iterdir()} - {"kustomization.yaml"})
    names = [(one["kind"], one["metadata"]["name"]) for one in OBJECTS]
    assert len(set(names)) == len(names)


def test_everything_is_in_the_namespace_that_the_code_expects() -> None:
    assert found("Namespace")["metadata"]["name"] == SYSTEM_NAMESPACE == CLASS_NAMESPACE
    for one in OBJECTS:
        wanted = None if one["kind"] in CLUSTER_SCOPED else SYSTEM_NAMESPACE
        assert one["metadata"].get("namespace") == wanted, one


def test_the_definitions_are_those_of_the_code() -> None:
    assert [one for one in OBJECTS if one["kind"] == "CustomResourceDefinition"] == crds(), "make manifests"


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_options_of_the_command(name: str) -> None:
    assert container(name)["args"][0] == name
    assert options(name)


def test_the_manager_listens_where_it_is_probed_and_leads_where_it_may() -> None:
    chosen, [port] = options("manager"), container("manager")["ports"]
    assert (chosen["health_host"], chosen["health_port"]) == ("0.0.0.0", port["containerPort"])  # noqa: S104
    assert (chosen["namespace"], chosen["kubeconfig"]) == (SYSTEM_NAMESPACE, None)
    leases = [one for one in rules("manager") if one["resources"] == ["leases"] and "resourceNames" in one]
    assert [one["resourceNames"] for one in leases] == [[manager.LEASE]]


def test_the_webhook_serves_the_certificate_that_is_made_for_its_service() -> None:
    chosen, port = options("webhook"), ports("webhook")["https"]
    assert (chosen["host"], chosen["port"]) == ("0.0.0.0", port["containerPort"])  # noqa: S104
    [mount] = container("webhook")["volumeMounts"]
    assert {str(chosen[one].parent) for one in ("tls_cert", "tls_key")} == {mount["mountPath"]}
    assert (chosen["tls_cert"].name, chosen["tls_key"].name) == ("tls.crt", "tls.key")  # of kubernetes.io/tls
    [volume] = [one for one in pod("webhook")["volumes"] if one["name"] == mount["name"]]
    certificate, service = found("Certificate", "trustplane-webhook"), found("Service")
    assert certificate["spec"]["secretName"] == volume["secret"]["secretName"]
    address = f"{service['metadata']['name']}.{SYSTEM_NAMESPACE}.svc"
    assert address in certificate["spec"]["dnsNames"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def test_the_api_server_knows_the_service_and_the_ca_of_its_certificate() -> None:
    service, certificate = found("Service"), found("Certificate", "trustplane-webhook")
    where = {
        "namespace": SYSTEM_NAMESPACE,
        "name": service["metadata"]["name"],
        "port": service["spec"]["ports"][0]["port"],
    }
    webhook = found("ValidatingWebhookConfiguration")
    assert {yaml.safe_dump(one["clientConfig"]["service"]) for one in webhook["webhooks"]} == {
        yaml.safe_dump({**where, "path": webhooks.ADMISSION_PATH})
    }
    name = f"{SYSTEM_NAMESPACE}/{certificate['metadata']['name']}"
    assert webhook["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": name}


def test_cluster_api_is_told_of_no_hook() -> None:
    assert not [one for one in OBJECTS if one["apiVersion"].startswith("runtime.cluster.x-k8s.io")]


def test_the_ca_issues_the_certificate() -> None:
    authority, certificate = found("Certificate", "trustplane-ca"), found("Certificate", "trustplane-webhook")
    issuer = found("Issuer", certificate["spec"]["issuerRef"]["name"])
    assert issuer["spec"]["ca"]["secretName"] == authority["spec"]["secretName"]
    assert found("Issuer", authority["spec"]["issuerRef"]["name"])["spec"] == {"selfSigned": {}}


@pytest.mark.parametrize("name", NAMES)
def test_probes_ask_for_paths_that_are_served(name: str) -> None:
    plain = {route.path for route in health.create_health(list).routes if isinstance(route, Route)}
    https = {getattr(one, "path", "") for one in create_application().routes}
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = container(name)[probe]["httpGet"]
        assert asked["path"] == path
        assert asked["port"] in ports(name)
        assert asked.get("scheme", "HTTP") == ("HTTPS" if asked["port"] == "https" else "HTTP")
        assert path in (https if asked["port"] == "https" else plain)
    assert container(name)["livenessProbe"]["httpGet"]["port"] == "metrics"


@pytest.mark.parametrize("name", NAMES)
def test_metrics_have_a_port_of_their_own(name: str) -> None:
    assert options(name)["health_port"] == ports(name)["metrics"]["containerPort"] != options(name).get("port")
    assert "/metrics" in {route.path for route in health.create_health(list).routes if isinstance(route, Route)}
    assert "/metrics" not in {getattr(one, "path", "") for one in create_application().routes}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_else_than_the_webhook_and_metrics_is_let_in(name: str) -> None:
    selected = policies(name)
    assert {"podSelector": {}, "policyTypes": ["Ingress"]} in selected  # all that no other policy allows is refused
    allowed = {
        port["port"]: rule.get("from") for one in selected for rule in one.get("ingress", ()) for port in rule["ports"]
    }
    asked_for_metrics = [{"namespaceSelector": {"matchLabels": {"trustplane.dev/metrics": "true"}}}]
    port_of_webhook = {"https": None} if name == "webhook" else {}
    assert allowed == {**port_of_webhook, "metrics": asked_for_metrics}
    assert set(allowed) == set(ports(name))


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_selected_by_their_deployment_and_their_budget(name: str) -> None:
    deployment = found("Deployment", f"trustplane-{name}")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    budget = found("PodDisruptionBudget", f"trustplane-{name}")
    [spread] = pod(name)["topologySpreadConstraints"]
    for selector in (deployment["spec"]["selector"], budget["spec"]["selector"], spread["labelSelector"]):
        assert selector["matchLabels"].items() <= labels
    assert deployment["spec"]["replicas"] == 2
    assert (
        found("Service")["spec"]["selector"].items()
        <= found("Deployment", "trustplane-webhook")["spec"]["template"]["metadata"]["labels"].items()
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_root_file_system_is_read_only_and_nothing_is_root(name: str) -> None:
    security = container(name)["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert pod(name)["securityContext"]["runAsNonRoot"]
    assert all("memory" in one for one in container(name)["resources"].values())


def test_kubeconfigs_of_clusters_pass_through_memory_only() -> None:
    [volume] = pod("manager")["volumes"]
    assert volume["emptyDir"]["medium"] == "Memory"


@pytest.mark.parametrize("name", NAMES)
def test_the_image_is_that_of_this_version(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container(name)["image"] == f"{IMAGE}:{version}"


def test_the_image_runs_the_command_as_the_same_user() -> None:
    lines = (ROOT / "Containerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["trustplane"]' in lines
    for name in NAMES:
        context = pod(name)["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in lines
        assert "command" not in container(name)
    [environment] = [one.split()[1:] for one in lines if one.startswith("ENV ")]
    assert {"HOME=/tmp", "USER=trustplane"} <= set(environment)  # no user id of a pod has an entry in /etc/passwd


def test_the_image_builds_every_distribution_that_trustplane_needs() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    members = {
        tomllib.loads(file.read_text())["project"]["name"]: file.parent.relative_to(ROOT)
        for file in ROOT.glob("packages/*/pyproject.toml")
    }
    needed = [
        members[name] for one in settings["project"]["dependencies"] if (name := one.partition("==")[0]) in members
    ]
    assert needed
    lines = (ROOT / "Containerfile").read_text().splitlines()
    [build] = [line for line in lines if "--no-build-isolation" in line]
    for folder in needed:
        assert f"COPY {folder} {folder}" in lines
        assert f"./{folder} " in build


@pytest.mark.parametrize("name", NAMES)
def test_roles_are_bound_to_the_account_of_the_pods(name: str) -> None:
    account = pod(name)["serviceAccountName"]
    assert found("ServiceAccount", account)
    bindings = [one for one in OBJECTS if one["kind"].endswith("Binding") and one["metadata"]["name"] == account]
    roles = [one for one in OBJECTS if one["kind"] in {"Role", "ClusterRole"} and one["metadata"]["name"] == account]
    assert [(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in bindings] == [
        (one["kind"], account) for one in roles
    ]
    for one in bindings:
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM_NAMESPACE}]


@pytest.mark.parametrize("name", NAMES)
def test_no_role_has_more_than_it_names(name: str) -> None:
    for rule in rules(name):
        values = itertools.chain(rule["apiGroups"], rule["resources"], rule["verbs"])
        assert not any("*" in one for one in values), rule
        assert not FOREIGN & set(rule["resources"]), rule
        assert not {"bind", "escalate", "impersonate", "deletecollection"} & set(rule["verbs"]), rule
    assert set(verbs(name, "registries")) <= READ_ONLY


def test_the_webhook_reads_secrets_by_name_and_does_nothing_else() -> None:
    assert [(one["resources"], one["verbs"]) for one in rules("webhook")] == [(["secrets"], ["get"])]


def test_the_manager_writes_secrets_with_its_label_only() -> None:
    assert verbs("manager", "secrets") == {"get", "list", "watch", "create", "delete", "patch"}
    policy, binding = found("ValidatingAdmissionPolicy"), found("ValidatingAdmissionPolicyBinding")
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    [condition] = policy["spec"]["matchConditions"]
    assert (
        f"'system:serviceaccount:{SYSTEM_NAMESPACE}:{pod('manager')['serviceAccountName']}'" in condition["expression"]
    )
    assert all(f"'{COMPONENT_LABEL}'" in one["expression"] for one in policy["spec"]["validations"])


def test_the_manager_touches_nothing_that_bootstraps_machines() -> None:
    groups = {group for one in rules("manager") for group in one["apiGroups"]}
    assert not {"bootstrap.cluster.x-k8s.io", "runtime.cluster.x-k8s.io"} & groups
    assert not verbs("manager", "machinedeployments/status") | verbs("manager", "kubeadmcontrolplanes/status")


def test_the_manager_looks_at_machine_health_checks_and_changes_none() -> None:
    assert verbs("manager", "machinehealthchecks") == {"list", "watch"}


def test_the_guide_says_what_each_right_is_for() -> None:
    guide = (ROOT / "docs" / "how-to" / "install.md").read_text()
    for name in NAMES:
        for rule in rules(name):
            for resource in rule["resources"]:
                row = rf"^\|[^|]*`{re.escape(resource)}`[^|]*\| {', '.join(rule['verbs'])} \|"
                assert re.search(row, guide, re.MULTILINE), (name, resource, rule["verbs"])
