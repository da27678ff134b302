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
    return {manifest["kind"]: manifest for manifest in clusterclass.cluster_class_objects(stack)}


def test_the_templates_of_the_class_exist(objects: dict[str, dict[str, Any]]) -> None:
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


def test_the_class_comes_after_its_templates(stack: Stack) -> None:
    assert clusterclass.cluster_class_objects(stack)[-1]["kind"] == "ClusterClass"


def test_the_class_has_the_patches_of_any_class(objects: dict[str, dict[str, Any]]) -> None:
    spec = objects["ClusterClass"]["spec"]
    templates = [objects[kind] for kind in ("KubeadmControlPlaneTemplate", "KubeadmConfigTemplate")]
    assert generate_class_patch(objects["ClusterClass"], templates, with_user=True).is_current
    assert [patch["name"] for patch in spec["patches"]] == ["trust", "trust-user"]
    assert not [patch for patch in spec["patches"] if "external" in patch]


def test_templates_do_not_mention_trust_and_patches_do_not_contain_it(
    objects: dict[str, dict[str, Any]],
) -> None:
    templates = [objects[kind] for kind in ("KubeadmControlPlaneTemplate", "KubeadmConfigTemplate")]
    assert "trust.pem" not in json.dumps(templates)
    [trust] = [patch for patch in objects["ClusterClass"]["spec"]["patches"] if patch["name"] == "trust"]
    assert set(re.findall(r"\{\{ *(.*?) *\}\}", json.dumps(trust))) == {".builtin.cluster.name"}
    assert "enabledIf" not in trust


def test_the_templates_have_the_lists_of_files_that_the_patch_appends_to(objects: dict[str, dict[str, Any]]) -> None:
    control_plane = objects["KubeadmControlPlaneTemplate"]["spec"]["template"]["spec"]["kubeadmConfigSpec"]
    worker = objects["KubeadmConfigTemplate"]["spec"]["template"]["spec"]
    for files in (control_plane["files"], worker["files"]):
        paths = [file["path"] for file in files]
        assert "/etc/cni/net.d/10-trustplane.conflist" in paths
        assert not any(path.startswith("/etc/ssl/certs") for path in paths)


def test_the_pod_network_is_valid_after_cloud_init_rendered_it(objects: dict[str, dict[str, Any]]) -> None:
    files = objects["KubeadmConfigTemplate"]["spec"]["template"]["spec"]["files"]
    content = files[0]["content"].replace("{{ ds.meta_data.pod_subnet }}", "198.18.65.0/26")
    assert json.loads(content)["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "198.18.65.0/26"}]]


def test_kube_proxy_leaves_the_hosts_connection_table_alone(objects: dict[str, dict[str, Any]]) -> None:
    control_plane = objects["KubeadmControlPlaneTemplate"]["spec"]["template"]["spec"]["kubeadmConfigSpec"]
    text = next(file["content"] for file in control_plane["files"] if file["path"].endswith("kube-proxy.yaml"))
    assert text.startswith("---\n")  # it is appended to kubeadm's own documents
    document = yaml.safe_load(text)
    assert document["kind"] == "KubeProxyConfiguration"
    assert (document["conntrack"]["maxPerCore"], document["conntrack"]["min"]) == (0, 0)
    assert "skipPhases" not in json.dumps(control_plane)


def test_every_node_accepts_the_key_and_no_password(objects: dict[str, dict[str, Any]]) -> None:
    patch = next(entry for entry in objects["ClusterClass"]["spec"]["patches"] if entry["name"] == "trust-user")
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


def test_the_descriptions_of_variables_without_effect_explain_it(objects: dict[str, dict[str, Any]]) -> None:
    variables = {variable["name"]: variable for variable in objects["ClusterClass"]["spec"]["variables"]}
    assert set(variables) == {"trust", "user", "vmClass", "storageClass"}
    for name in ("vmClass", "storageClass"):
        assert "Accepted to keep manifests portable" in variables[name]["schema"]["openAPIV3Schema"]["description"]
    assert not any(variable["required"] for variable in variables.values())


def test_changed_content_creates_another_template() -> None:
    names = {clusterclass._template("v1", "Kind", spec)["metadata"]["name"] for spec in ({}, {"a": 1}, {"a": 2})}
    assert len(names) == 3
