import json
import re
from typing import Any

import pytest
import yaml

from trustplane.clusterapi.cluster_class.patch import generate_class_patch
from trustplane_local import clusterclass
from trustplane_local.stack import Stack


@pytest.fixture
def objects(stack: Stack) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in clusterclass.cluster_class_objects(stack)}


def test_every_template_that_the_class_names_is_there(objects: dict[str, dict[str, Any]]) -> None:
    spec = objects["ClusterClass"]["spec"]
    pool = spec["workers"]["machineDeployments"][0]
    references = [
        spec["infrastructure"]["templateRef"],
        spec["controlPlane"]["templateRef"],
        spec["controlPlane"]["machineInfrastructure"]["templateRef"],
        pool["bootstrap"]["templateRef"],
        pool["infrastructure"]["templateRef"],
    ]
    for reference in references:
        template = objects[reference["kind"]]
        assert template["apiVersion"] == reference["apiVersion"]
        assert template["metadata"]["name"] == reference["name"]
        assert template["metadata"]["namespace"] == objects["ClusterClass"]["metadata"]["namespace"]
    assert pool["class"] == "node-pool"


def test_the_class_comes_after_what_it_refers_to(stack: Stack) -> None:
    assert clusterclass.cluster_class_objects(stack)[-1]["kind"] == "ClusterClass"


def test_patches_are_those_of_anybodys_class(objects: dict[str, dict[str, Any]]) -> None:
    spec = objects["ClusterClass"]["spec"]
    templates = [objects[kind] for kind in ("KubeadmControlPlaneTemplate", "KubeadmConfigTemplate")]
    assert generate_class_patch(objects["ClusterClass"], templates, with_user=True).is_current
    assert [one["name"] for one in spec["patches"]] == ["trust", "trust-user"]
    assert not [one for one in spec["patches"] if "external" in one]


def test_templates_say_nothing_of_trust_and_patches_nothing_of_its_content(
    objects: dict[str, dict[str, Any]],
) -> None:
    templates = [objects[kind] for kind in ("KubeadmControlPlaneTemplate", "KubeadmConfigTemplate")]
    assert "trust.pem" not in json.dumps(templates)
    [trust] = [one for one in objects["ClusterClass"]["spec"]["patches"] if one["name"] == "trust"]
    assert set(re.findall(r"\{\{ *(.*?) *\}\}", json.dumps(trust))) == {".builtin.cluster.name"}
    assert "enabledIf" not in trust


def test_there_are_lists_of_files_that_the_patch_appends_to(objects: dict[str, dict[str, Any]]) -> None:
    control_plane = objects["KubeadmControlPlaneTemplate"]["spec"]["template"]["spec"]["kubeadmConfigSpec"]
    worker = objects["KubeadmConfigTemplate"]["spec"]["template"]["spec"]
    for files in (control_plane["files"], worker["files"]):
        paths = [one["path"] for one in files]
        assert "/etc/cni/net.d/10-trustplane.conflist" in paths
        assert not any(path.startswith("/etc/ssl/certs") for path in paths)


def test_the_pod_network_is_valid_once_cloud_init_has_filled_it_in(objects: dict[str, dict[str, Any]]) -> None:
    files = objects["KubeadmConfigTemplate"]["spec"]["template"]["spec"]["files"]
    content = files[0]["content"].replace("{{ ds.meta_data.pod_subnet }}", "198.18.65.0/26")
    assert json.loads(content)["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "198.18.65.0/26"}]]


def test_kube_proxy_leaves_the_hosts_connection_table_alone(objects: dict[str, dict[str, Any]]) -> None:
    control_plane = objects["KubeadmControlPlaneTemplate"]["spec"]["template"]["spec"]["kubeadmConfigSpec"]
    text = next(one["content"] for one in control_plane["files"] if one["path"].endswith("kube-proxy.yaml"))
    assert text.startswith("---\n")  # it is appended to kubeadm's own documents
    document = yaml.safe_load(text)
    assert document["kind"] == "KubeProxyConfiguration"
    assert (document["conntrack"]["maxPerCore"], document["conntrack"]["min"]) == (0, 0)
    assert "skipPhases" not in json.dumps(control_plane)


def test_the_key_opens_every_node_and_no_password_does(objects: dict[str, dict[str, Any]]) -> None:
    patch = next(one for one in objects["ClusterClass"]["spec"]["patches"] if one["name"] == "trust-user")
    for definition in patch["definitions"]:
        [operation] = definition["jsonPatches"]
        assert operation["path"].endswith("/users")
        template = operation["valueFrom"]["template"]
        users = yaml.safe_load(template.replace("{{ .user.sshAuthorizedKey | toJson }}", '"ssh-ed25519 AAAA"'))
        assert users == [
            {
                "name": "vmware-system-user",
                "shell": "/bin/bash",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "lockPassword": True,
                "sshAuthorizedKeys": ["ssh-ed25519 AAAA"],
            }
        ]


def test_variables_without_effect_say_so(objects: dict[str, dict[str, Any]]) -> None:
    variables = {one["name"]: one for one in objects["ClusterClass"]["spec"]["variables"]}
    assert set(variables) == {"trust", "user", "vmClass", "storageClass"}
    for name in ("vmClass", "storageClass"):
        assert "Accepted so that manifests stay portable" in variables[name]["schema"]["openAPIV3Schema"]["description"]
    assert not any(one["required"] for one in variables.values())


def test_another_content_is_another_template() -> None:
    names = {clusterclass._template("v1", "Kind", spec)["metadata"]["name"] for spec in ({}, {"a": 1}, {"a": 2})}
    assert len(names) == 3
