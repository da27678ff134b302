"""`trustplane class`: the printed document, the notes on standard error, and the exit status."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.cli.cluster_class import command as cluster_class
from trustplane.cli.cluster_class.command import CLASSES, CLUSTERS, command
from trustplane.cli.cluster_class.notes import clusters_of_class
from trustplane.clusterapi.bootstrap import node_user, trust_secret_name
from trustplane.errors import UserError
from trustplane.kube.errors import UnavailableError
from trustplane.kube.resource import Resource

GROUP = "cluster.x-k8s.io"
CONTROL_PLANE: Json = {
    "apiVersion": f"controlplane.{GROUP}/v1beta2",
    "kind": "KubeadmControlPlaneTemplate",
    "metadata": {"name": "cp", "namespace": "team"},
    "spec": {"template": {"spec": {"kubeadmConfigSpec": {"files": [{"path": "/etc/x", "content": "x"}]}}}},
}
WORKER: Json = {
    "apiVersion": f"bootstrap.{GROUP}/v1beta1",
    "kind": "KubeadmConfigTemplate",
    "metadata": {"name": "md", "namespace": "team"},
    "spec": {"template": {"spec": {}}},
}


def reference(template: Json) -> Json:
    return {"apiVersion": template["apiVersion"], "kind": template["kind"], "name": template["metadata"]["name"]}


def a_class(**spec: Any) -> Json:
    workers = {
        "machineDeployments": [{"class": "md", "bootstrap": {"templateRef": reference(WORKER)}}],
        "machinePools": [{"class": "pool"}],
    }
    control_plane = {"templateRef": reference(CONTROL_PLANE)}
    metadata = {"name": "own", "namespace": "team"}
    return {"metadata": metadata, "spec": {"controlPlane": control_plane, "workers": workers, **spec}}


def cluster(name: str, version: str, namespace: str = "team", class_namespace: str = "") -> Json:
    reference = {"name": "own", **({"namespace": class_namespace} if class_namespace else {})}
    topology = {"classRef": reference, "version": version}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"topology": topology}}


class Server:
    """Stands for the API server, with the objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {
            CLASSES.path("team", "own"): a_class(),
            f"/apis/controlplane.{GROUP}/v1beta2/namespaces/team/kubeadmcontrolplanetemplates/cp": CONTROL_PLANE,
            f"/apis/bootstrap.{GROUP}/v1beta1/namespaces/team/kubeadmconfigtemplates/md": WORKER,
        }
        self.clusters = [cluster("b", "v1.36.2"), cluster("a", "v1.35.4"), cluster("c", "v1.35.4", "other")]

    async def find(self, resource: Resource[Json], name: str, namespace: str = "") -> Json | None:
        return self.objects.get(resource.path(namespace, name))

    async def list(self, resource: Resource[Json]) -> list[Json]:
        assert resource is CLUSTERS
        return self.clusters


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server()

    @contextlib.asynccontextmanager
    async def open_fake(_: object) -> AsyncIterator[Server]:
        yield fake

    monkeypatch.setattr(cluster_class.Client, "open", open_fake)
    return fake


def run(*arguments: str, content: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=content)


def patch(*arguments: str) -> Result:
    return run("patch", "own", "-n", "team", *arguments)


def test_the_patches_are_printed_and_standard_error_lists_the_rolled_clusters(server: Server) -> None:
    shown = patch()
    assert shown.exit_code == 0
    spec = yaml.safe_load(shown.stdout)["spec"]
    assert [patch["name"] for patch in spec["patches"]] == ["trust", "trust-user"]
    assert [variable["name"] for variable in spec["variables"]] == ["trust", "user"]
    assert [each["selector"]["apiVersion"] for each in spec["patches"][0]["definitions"]] == [
        f"controlplane.{GROUP}/v1beta2",
        f"bootstrap.{GROUP}/v1beta1",
    ]
    assert "Rolls 2 clusters of the class once" in shown.stderr
    assert ": team/a, team/b." in shown.stderr
    assert "--with-next-version" in shown.stderr
    assert "Left out: MachinePool class pool" in shown.stderr
    assert "No machine boots without Secret <cluster>-trust" in shown.stderr
    assert len(server.objects) == 3


@pytest.mark.usefixtures("server")
def test_json_is_the_same_document() -> None:
    assert json.loads(patch("-o", "json").stdout) == yaml.safe_load(patch().stdout)


@pytest.mark.usefixtures("server")
def test_the_script_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    content = '#!/bin/sh\npassword=abcdef  # "{{ x }}"\n' + "true\n" * 2000
    file = {"path": "/etc/trustplane/unpack.sh", "content": content}
    monkeypatch.setattr("trustplane.clusterapi.bootstrap.unpack_file", lambda: file)
    for form in ("yaml", "json"):
        document = yaml.safe_load(patch("-o", form).stdout)
        values = [each["value"] for each in document["spec"]["patches"][0]["definitions"][0]["jsonPatches"][1:2]]
        assert values == [file]


@pytest.mark.usefixtures("server")
def test_with_the_next_version_other_clusters_wait_for_their_upgrade() -> None:
    shown = patch("--with-next-version", "1.36.0")
    assert "Rolls 1 cluster of the class once, control plane and all pools at the same time: team/b." in shown.stderr
    assert "Waits for the upgrade of 1 cluster to 1.36.0" in shown.stderr
    assert all(each["enabledIf"].startswith("{{ if ") for each in yaml.safe_load(shown.stdout)["spec"]["patches"])


def test_a_class_that_has_the_patches_needs_nothing(server: Server) -> None:
    spec = yaml.safe_load(patch().stdout)["spec"]
    server.objects[CLASSES.path("team", "own")] = a_class(**spec)
    shown = patch()
    assert shown.exit_code == 0
    assert "there is nothing to add" in shown.stderr
    assert "Rolls" not in shown.stderr
    assert "variables" not in yaml.safe_load(shown.stdout)["spec"]
    shown = patch("--with-next-version", "1.36.0")
    assert "Remove the earlier patches from spec.patches: trust, trust-user." in shown.stderr


def test_a_warning_names_patches_of_runtime_extensions(server: Server) -> None:
    external = {"name": "\x1b[31mext", "external": {"generatePatchesExtension": "x"}}
    server.objects[CLASSES.path("team", "own")] = a_class(patches=[external])
    shown = patch("--no-ssh-user", "--leave-out", "md")
    assert "WARNING: Patch  [31mext is generated by a runtime extension" in shown.stderr
    assert "Left out: MachineDeployment class md: you left it out." in shown.stderr
    assert [each["name"] for each in yaml.safe_load(shown.stdout)["spec"]["patches"]] == ["trust"]


def test_many_clusters_are_counted_and_some_named(server: Server) -> None:
    server.clusters = [cluster(f"c{number:02}", "v1.36.0") for number in range(12)]
    assert "Rolls 12 clusters" in patch().stderr
    assert "team/c09, 2 more." in patch().stderr
    server.clusters = []
    assert "Rolls no clusters of the class once, control plane and all pools at the same time." in patch().stderr


def test_only_clusters_of_the_class_are_listed() -> None:
    clusters = [
        cluster("own", "v1.36.0"),
        cluster("far", "v1.36.0", "other", "team"),
        cluster("same-name", "v1.36.0", "other"),
        {"metadata": {"name": "plain", "namespace": "team"}, "spec": {}},
        {"metadata": {"name": "odd", "namespace": "team"}, "spec": {"topology": []}},
    ]
    assert [cluster.key for cluster in clusters_of_class(clusters, Key("team", "own"))] == [
        Key("other", "far"),
        Key("team", "own"),
    ]


@pytest.mark.usefixtures("server")
def test_an_unknown_class_version_or_deployment_is_named() -> None:
    shown = run("patch", "own")
    assert isinstance(shown.exception, UserError)
    assert "ClusterClass default/own does not exist" in str(shown.exception)
    assert "no MachineDeployment class x" in str(patch("--leave-out", "x").exception)
    assert "not a Kubernetes version" in str(patch("--with-next-version", "next").exception)


def test_a_missing_template_is_named(server: Server) -> None:
    server.objects = {CLASSES.path("team", "own"): a_class()}
    assert "KubeadmControlPlaneTemplate cp of" in str(patch().exception)


def test_an_unavailable_api_server_is_a_temporary_failure(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise UnavailableError("It does not answer")

    monkeypatch.setattr(server, "find", away)
    shown = patch()
    assert isinstance(shown.exception, UnavailableError)
    assert shown.exception.exit_code == 75


@pytest.mark.parametrize("arguments", [["patch"], ["patch", "own", "-o", "table"], ["bootstrap"], ["nonsense"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("name", ["patch", "bootstrap"])
def test_help_has_examples_and_exit_statuses(name: str) -> None:
    shown = run(name, "--help")
    assert "Examples:" in shown.output
    assert "Exit status: 0" in shown.output


def test_bootstrap_prints_the_additions_for_a_cluster_without_a_class() -> None:
    shown = run("bootstrap", "shop")
    assert shown.exit_code == 0
    assert trust_secret_name(yaml.safe_load(shown.stdout)) == "shop-trust"
    assert json.loads(run("bootstrap", "shop", "-o", "json").stdout) == yaml.safe_load(shown.stdout)


def test_bootstrap_adds_the_ssh_user() -> None:
    shown = run("bootstrap", "shop", "--ssh-key", "-", content="ssh-ed25519 AAAA x\n")
    assert yaml.safe_load(shown.stdout)["users"] == [node_user("ssh-ed25519 AAAA x")]


@pytest.mark.parametrize("content", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "ssh-ed25519 A\nssh-ed25519 B\n"])
def test_an_invalid_public_key_is_refused_and_not_shown(content: str) -> None:
    shown = run("bootstrap", "shop", "--ssh-key", "-", content=content)
    assert isinstance(shown.exception, UserError)
    assert "not a public key" in str(shown.exception)
    assert not shown.stdout


@pytest.mark.parametrize("name", ["Shop", "a b", "x\ny", "-x", "a" * 64])
def test_invalid_names_of_clusters_are_refused(name: str) -> None:
    assert isinstance(run("bootstrap", "--", name).exception, UserError)
