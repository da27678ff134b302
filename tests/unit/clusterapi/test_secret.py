import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from trustplane.api import clusterapi
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.clusterapi.readiness import is_reconciled
from trustplane.trust.entries import TrustSet, read

EXAMPLES = Path(__file__).parents[3] / "examples"
TKC = msgspec.convert(
    yaml.safe_load((EXAMPLES / "tanzukubernetescluster-own-trust.yaml").read_text()), TanzuKubernetesCluster
)


def trust() -> TrustSet:
    return read(TKC.spec.own_trust or []).trust


def test_the_secret_is_named_by_its_content_and_never_changes() -> None:
    body = secret.desired_secret(TKC, trust())
    assert body["metadata"]["name"] == f"cluster-2-trust-{trust().digest[:10]}"
    assert body["metadata"]["namespace"] == "default"
    assert body["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == "cluster-2"
    assert body["metadata"]["ownerReferences"][0]["name"] == "cluster-2"
    assert body["immutable"] is True
    assert base64.b64decode(body["data"]["TeamInternalCA.pem"]).startswith(b"-----BEGIN CERTIFICATE-----\n")


def test_the_secret_says_what_is_in_force() -> None:
    assert secret.read(msgspec.convert(secret.desired_secret(TKC, trust()), Secret)) == trust()
    assert secret.read(Secret(data={"x.pem": "bm90aGluZw=="})) is None


def test_registries_of_entries_are_kept_with_them() -> None:
    scoped = trust().scoped({"TeamInternalCA": ["r.test", "s.test:5000"]})
    body = secret.desired_secret(TKC, scoped)
    assert body["metadata"]["name"] != f"cluster-2-trust-{trust().digest[:10]}"
    assert secret.read(msgspec.convert(body, Secret)) == scoped
    assert secret.desired_secret(TKC, trust())["data"].keys() < body["data"].keys()


@pytest.mark.parametrize("text", ["other=r.test", "TeamInternalCA", "\xff"])
def test_registries_that_cannot_be_read_are_not_left_out(text: str) -> None:
    data = secret.content(trust()) | {"registry-scope": base64.b64encode(text.encode("latin-1")).decode()}
    assert secret.read(Secret(data=data)) is None


def test_its_labels_match_the_selector() -> None:
    labels = secret.desired_secret(TKC, trust())["metadata"]["labels"]
    assert {f"{key}={value}" for key, value in labels.items()} == set(secret.selector("cluster-2").split(","))


def files(name: str) -> list[Json]:
    return [{"path": "/x", "contentFrom": {"secret": {"name": name, "key": "k"}}}, {"path": "/y", "content": "z"}]


def _trust(secret_name: str) -> list[Json]:
    return [{"name": "trust", "value": {"secretName": secret_name}}]


def cluster(name: str, **condition: Any) -> clusterapi.Cluster:
    reconciled = {"type": "TopologyReconciled", "status": "True", "observedGeneration": 2} | condition
    body = {
        "metadata": {"generation": 2},
        "spec": {"topology": {"variables": _trust(name), "controlPlane": {"variables": {"overrides": _trust("held")}}}},
        "status": {"conditions": [reconciled]},
    }
    return msgspec.convert(body, clusterapi.Cluster)


def test_whatever_may_still_ask_for_a_secret_keeps_it() -> None:
    config = msgspec.convert({"spec": {"files": files("of-config")}}, clusterapi.KubeadmConfig)
    template = msgspec.convert(
        {"spec": {"template": {"spec": {"files": files("of-template")}}}}, clusterapi.KubeadmConfigTemplate
    )
    control_plane = msgspec.convert(
        {"spec": {"kubeadmConfigSpec": {"files": files("of-control-plane")}}}, clusterapi.KubeadmControlPlane
    )
    names = secret.references(cluster("of-cluster"), [config], [template], [control_plane])
    assert names == {"of-cluster", "held", "of-config", "of-template", "of-control-plane"}
    assert secret.references(None, [], [], []) == set()


def test_only_trust_secrets_of_ours_are_collected() -> None:
    def made(name: str, **labels: str) -> Secret:
        return msgspec.convert({"metadata": {"name": name, "labels": labels}}, Secret)

    ours = {"trustplane.dev/component": "trust"}
    secrets = [made("used", **ours), made("left", **ours), made("users"), made("other", **dict.fromkeys(ours, "ssh"))]
    assert [one.metadata.name for one in secret.unused(secrets, {"used"})] == ["left"]


def test_nothing_is_collected_while_cluster_api_is_still_at_it() -> None:
    assert is_reconciled(cluster("x"))
    assert not is_reconciled(cluster("x", observedGeneration=1))
    assert not is_reconciled(cluster("x", status="False"))
    assert not is_reconciled(clusterapi.Cluster())
