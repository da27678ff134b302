"""Trustplane's CRDs in a real API server: kubectl's columns, accepted and refused objects, and messages."""

import base64
import copy
import json
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.configuration import TkgServiceConfiguration, TrustedCA
from trustplane.api.crds import crds
from trustplane.api.meta import Json
from trustplane.api.release import TanzuKubernetesRelease
from trustplane.certificates.finding import Finding
from trustplane.clusterapi.readiness import CapiObjects
from trustplane.clusterapi.release import release_body, release_status, resolve_release
from trustplane.reporting.cluster_status import cluster_status
from trustplane.reporting.trust_status import service_configuration_status
from trustplane.trust.entries import parse_list

EXAMPLES = Path(__file__).parents[2] / "examples"
PEM = base64.b64decode(
    yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())["spec"]["trust"]["additionalTrustedCAs"][0][
        "data"
    ]
)

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def kubectl(shared_apiserver: Any, binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Real kubectl, with Trustplane's CRDs: `kubectl("get", "tkc", body=...)` passes the body as `-f -`."""
    shared_apiserver.start()
    folder = tmp_path_factory.mktemp("kubectl")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(shared_apiserver.kubeconfig))

    def run(*arguments: str, body: Json | list[Json] | None = None) -> subprocess.CompletedProcess[str]:
        documents = body if isinstance(body, list) else [body]
        text = yaml.safe_dump_all(documents) if body else None
        command = [str(binaries / "kubectl"), f"--kubeconfig={kubeconfig}", f"--cache-dir={folder}", *arguments]
        return subprocess.run(command, input=text, text=True, capture_output=True, timeout=60, check=False)

    applied = run("apply", "--server-side", "--filename=-", body=crds())
    assert applied.returncode == 0, applied.stderr
    names = [f"crd/{crd['metadata']['name']}" for crd in crds()]
    waited = run("wait", "--for=condition=Established", "--timeout=30s", *names)
    assert waited.returncode == 0, waited.stderr
    return run


@pytest.fixture
def configuration() -> Json:
    """The customer's manifest."""
    return example("tkgserviceconfiguration.yaml")


@pytest.fixture
def cluster() -> Json:
    tkc = example("tanzukubernetescluster.yaml")
    tkc["metadata"]["name"] = f"c-{uuid.uuid4().hex[:8]}"
    return tkc


def example(name: str) -> Json:
    document: Json = yaml.safe_load((EXAMPLES / name).read_text())
    return document


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def with_entries(configuration: Json, *entries: tuple[str, str]) -> Json:
    changed = copy.deepcopy(configuration)
    changed["spec"]["trust"]["additionalTrustedCAs"] = [{"name": name, "data": data} for name, data in entries]
    return changed


def apply(kubectl: Kubectl, body: Json) -> subprocess.CompletedProcess[str]:
    return kubectl("apply", "--filename=-", body=body)


def accepted(kubectl: Kubectl, body: Json) -> None:
    result = apply(kubectl, body)
    assert result.returncode == 0, result.stderr


def refused(kubectl: Kubectl, body: Json, *words: str) -> None:
    result = apply(kubectl, body)
    assert result.returncode != 0, result.stdout
    for word in words:
        assert word in result.stderr


def columns(kubectl: Kubectl, *resource: str) -> list[list[str]]:
    """Return the table of `kubectl get`, split where its header has two spaces or more."""
    printed = kubectl("get", *resource)
    assert printed.returncode == 0, printed.stderr
    head, *rows = printed.stdout.splitlines()
    starts = [0, *(at + 2 for at in range(len(head) - 2) if head[at : at + 2] == "  " and head[at + 2] != " ")]
    return [
        [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        for line in (head, *rows)
    ]


def test_customers_manifest_is_accepted_and_printed_like_the_original(kubectl: Kubectl) -> None:
    applied = kubectl("apply", f"--filename={EXAMPLES / 'tkgserviceconfiguration.yaml'}")
    assert applied.returncode == 0, applied.stderr
    head, row = columns(kubectl, "tkgserviceconfigurations")
    assert head == ["NAME", "DEFAULT CNI"]
    assert row == ["tkg-service-configuration", "antrea"]


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2", "v1alpha3"])
def test_configuration_is_the_same_in_every_version(kubectl: Kubectl, configuration: Json, version: str) -> None:
    accepted(kubectl, configuration | {"apiVersion": f"run.tanzu.vmware.com/{version}"})
    for other in ("v1alpha1", "v1alpha2", "v1alpha3"):
        got = kubectl("get", f"tkgserviceconfigurations.{other}.run.tanzu.vmware.com", "--output=json")
        assert json.loads(got.stdout)["items"][0]["spec"] == configuration["spec"]


def test_clusters_are_printed_like_the_original(kubectl: Kubectl, cluster: Json) -> None:
    accepted(kubectl, cluster)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    observed = {
        "Ready": ("True", ""),
        "TanzuKubernetesReleaseCompatible": ("True", ""),
        "UpdatesAvailable": ("True", "[v1.36.4+trustplane.1 v1.37.0+trustplane.1]"),
    }
    conditions = [
        {"type": type_, "status": status, "reason": "Test", "message": message, "lastTransitionTime": now}
        for type_, (status, message) in observed.items()
    ]
    status = {"status": {"totalWorkerReplicas": 4, "conditions": conditions}}
    name = cluster["metadata"]["name"]
    patched = kubectl("patch", "tkc", name, "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    assert patched.returncode == 0, patched.stderr
    head, row = columns(kubectl, "tkc", name)
    assert head == [
        *("NAME", "CONTROL PLANE", "WORKER", "TKR NAME"),
        *("AGE", "READY", "TKR COMPATIBLE", "UPDATES AVAILABLE"),
    ]
    assert row[:4] == [name, "1", "4", "v1.36.3---trustplane.1"]
    assert row[5:] == ["True", "True", "[v1.36.4+trustplane.1 v1.37.0+trustplane.1]"]


def test_releases_are_printed_like_the_original(kubectl: Kubectl) -> None:
    accepted(kubectl, release_body("v1.36.3"))
    head, row = columns(kubectl, "tkr", "v1.36.3---trustplane.1")
    assert head == ["NAME", "VERSION", "READY", "COMPATIBLE", "CREATED"]
    assert row[:2] == ["v1.36.3---trustplane.1", "v1.36.3+trustplane.1"]


@pytest.mark.parametrize("kind", ["tkgserviceconfigurations", "tkc", "tkr"])
def test_explain_describes_every_field(kubectl: Kubectl, kind: str) -> None:
    printed = kubectl("explain", kind, "--recursive")
    assert printed.returncode == 0, printed.stderr
    [crd] = [
        one for one in crds() if kind in (one["spec"]["names"]["plural"], *one["spec"]["names"].get("shortNames", []))
    ]
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        assert list(undescribed(schema["properties"]["spec"], "spec")) == []
        assert list(undescribed(schema["properties"]["status"], "status")) == []


def undescribed(schema: Json, path: str) -> list[str]:
    inner = {**schema.get("properties", {}), "[]": schema.get("items"), "{}": schema.get("additionalProperties")}
    own = [] if schema.get("description") else [path]
    return own + [name for key, one in inner.items() if one for name in undescribed(one, f"{path}.{key}")]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: str(file.stem))
def test_examples_are_accepted(kubectl: Kubectl, file: Path) -> None:
    applied = kubectl("apply", "--dry-run=server", f"--filename={file}")
    # A pod needs the default ServiceAccount, created by a controller that does not run here.
    assert applied.returncode == 0 or 'serviceaccount "default" not found' in applied.stderr, applied.stderr


def test_lists_from_practice_are_accepted(kubectl: Kubectl, configuration: Json) -> None:
    wrapped = base64.encodebytes(PEM).decode()
    crlf = encoded(PEM.replace(b"\n", b"\r\n").rstrip())
    chain = encoded(PEM + b"text between\n" + PEM)
    accepted(
        kubectl, with_entries(configuration, ("wrapped", wrapped), ("registry.corp.test", crlf), ("all_ca.crt", chain))
    )


BAD_ENTRIES = {
    "characters": ([("ca", "not base64!")], "is not base64", "base64 -w0"),
    "pem-itself": ([("ca", PEM.decode())], "is not base64", "base64 -w0"),
    "empty": ([("ca", "")], "data"),
    "double-base64": ([("ca", encoded(encoded(PEM).encode()))], "is base64 twice"),
    "der": ([("ca", "MIIB" + "A" * 400)], "is base64 of DER", "openssl x509 -inform der"),
    "escape": ([("../x", encoded(PEM))], "cannot be part of a file's name"),
    "dots": ([("..", encoded(PEM))], "cannot be part of a file's name"),
    "space": ([("a b", encoded(PEM))], "cannot be part of a file's name"),
    "line-break": ([("ca\n", encoded(PEM))], "cannot be part of a file's name"),
    "long-name": ([("a" * 244, encoded(PEM))], "name"),
    "duplicate": ([("ca", encoded(PEM)), ("b", encoded(PEM)), ("ca", encoded(PEM))], "two entries with one name"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_bad_entries_are_refused(kubectl: Kubectl, configuration: Json, cluster: Json, case: str) -> None:
    entries, *words = BAD_ENTRIES[case]
    broken = with_entries(configuration, *entries)
    refused(kubectl, broken, *words)
    cluster["spec"]["settings"] = {"network": {"trust": broken["spec"]["trust"]}}
    refused(kubectl, cluster, *words)


@pytest.mark.parametrize("kind", ["PRIVATE", "RSA PRIVATE", "EC PRIVATE", "ENCRYPTED PRIVATE", "OPENSSH PRIVATE"])
def test_private_key_is_refused_and_not_echoed(kubectl: Kubectl, configuration: Json, kind: str) -> None:
    key = encoded(f"-----BEGIN {kind} KEY-----\nc2VjcmV0c2VjcmV0\n-----END {kind} KEY-----\n".encode())
    for version in ("v1alpha1", "v1alpha3"):
        body = with_entries(configuration, ("ca", key)) | {"apiVersion": f"run.tanzu.vmware.com/{version}"}
        result = kubectl("create", "--filename=-", body=body)
        assert result.returncode != 0
        assert "is a private key" in result.stderr
        assert key[-32:] not in result.stderr


@pytest.mark.parametrize("missing", ["name", "data"])
def test_entry_without_name_or_data_is_refused(kubectl: Kubectl, configuration: Json, missing: str) -> None:
    broken = with_entries(configuration, ("ca", encoded(PEM)))
    del broken["spec"]["trust"]["additionalTrustedCAs"][0][missing]
    refused(kubectl, broken, missing, "Required value")


def test_a_refused_change_leaves_the_list_unchanged(kubectl: Kubectl, configuration: Json) -> None:
    accepted(kubectl, configuration)
    refused(kubectl, with_entries(configuration, ("ca", "not base64!")))
    stored = json.loads(kubectl("get", "tkgserviceconfigurations", "--output=json").stdout)["items"][0]
    assert stored["spec"] == configuration["spec"]


def test_there_is_one_configuration(kubectl: Kubectl, configuration: Json) -> None:
    configuration["metadata"]["name"] = "tkg-service-configuration-example"
    refused(kubectl, configuration, "The service has a single configuration")


PROXY = {"httpProxy": "http://10.0.0.9:3128", "httpsProxy": "http://u:p@10.0.0.9:3128", "noProxy": ["10.0.0.0/8"]}
BAD_SPECS: dict[str, tuple[Json, str]] = {
    "proxy-partial": ({"proxy": {"httpProxy": "http://10.0.0.9:3128"}}, "Set all three"),
    "proxy-https": ({"proxy": PROXY | {"httpsProxy": "https://10.0.0.9:3128"}}, "does not begin with http://"),
    "cni": ({"defaultCNI": "flannel"}, 'supported values: "antrea", "calico", "antrea-nsx-routed"'),
    "duration": ({"defaultNodeDrainTimeout": "5 minutes"}, "is not a duration"),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_bad_configuration_is_refused(kubectl: Kubectl, configuration: Json, case: str) -> None:
    change, word = BAD_SPECS[case]
    configuration["spec"] |= change
    refused(kubectl, configuration, word)


def test_full_configuration_is_accepted(kubectl: Kubectl, configuration: Json) -> None:
    for cni in ("calico", "antrea-nsx-routed", "antrea"):
        configuration["spec"] |= {"proxy": PROXY, "defaultNodeDrainTimeout": "1h30m", "defaultCNI": cni}
        accepted(kubectl, configuration)


def test_largest_list_is_accepted_within_the_cost_of_rules(kubectl: Kubectl, configuration: Json) -> None:
    data = encoded(b"-----BEGIN CERTIFICATE-----\n" + b"A" * 2800 + b"\n-----END CERTIFICATE-----\n")
    large = with_entries(configuration, *((f"{'long-name-' * 20}{number:03}", data) for number in range(180)))
    applied = kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", body=large)
    assert applied.returncode == 0, applied.stderr
    one_more = with_entries(configuration, *((f"ca-{number}", data) for number in range(181)))
    refused(kubectl, one_more, "must have at most 180 items")
    longest = with_entries(configuration, ("one", "A" * 45_000))
    assert kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", body=longest).returncode == 0


def test_applying_a_list_replaces_the_former_one(kubectl: Kubectl, configuration: Json) -> None:
    first = with_entries(configuration, ("a", encoded(PEM)), ("b", encoded(PEM)))
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=one", "--filename=-", body=first)
    second = with_entries(configuration, ("b", encoded(PEM)))
    applied = kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=two", "--filename=-", body=second)
    assert applied.returncode == 0, applied.stderr
    names = kubectl(
        "get", "tkgserviceconfigurations", "--output=jsonpath={.items[0].spec.trust.additionalTrustedCAs[*].name}"
    )
    assert names.stdout == "b"


@pytest.mark.parametrize("replicas", [0, 2, 4, 5])
def test_control_plane_is_one_or_three(kubectl: Kubectl, cluster: Json, replicas: int) -> None:
    cluster["spec"]["topology"]["controlPlane"]["replicas"] = replicas
    refused(kubectl, cluster, "is neither 1 nor 3", "etcd needs an odd number", "Set 1 or 3")


def test_control_plane_grows_and_never_shrinks(kubectl: Kubectl, cluster: Json) -> None:
    control_plane = cluster["spec"]["topology"]["controlPlane"]
    del control_plane["replicas"]
    accepted(kubectl, cluster)
    control_plane["replicas"] = 3
    accepted(kubectl, cluster)
    control_plane["replicas"] = 1
    refused(kubectl, cluster, "never scaled down")
    del control_plane["replicas"]
    refused(kubectl, cluster, "never scaled down")


@pytest.mark.parametrize("name", ["1st", "a.b", "x" * 64])
def test_cluster_name_must_fit_names_of_nodes(kubectl: Kubectl, cluster: Json, name: str) -> None:
    cluster["metadata"]["name"] = name
    refused(kubectl, cluster, "Names of nodes and labels begin with it")


def test_bad_network_is_refused(kubectl: Kubectl, cluster: Json) -> None:
    cluster["spec"]["settings"] = {"network": {"services": {"cidrBlocks": ["10.96.0.0"]}}}
    refused(kubectl, cluster, "is not in CIDR notation")


def test_full_cluster_is_accepted(kubectl: Kubectl, cluster: Json) -> None:
    volume = {"name": "containerd", "mountPath": "/var/lib/containerd", "capacity": {"storage": "50Gi"}}
    [pool] = cluster["spec"]["topology"]["nodePools"]
    pool |= {
        "labels": {"tier": "front"},
        "taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}],
        "volumes": [volume],
        "failureDomain": "zone-1",
        "nodeDrainTimeout": "0s",
    }
    del pool["replicas"]
    network = {
        "cni": {"name": "antrea"},
        "services": {"cidrBlocks": ["198.51.100.0/12"]},
        "pods": {"cidrBlocks": ["192.0.2.0/16"]},
        "serviceDomain": "managedcluster.local",
        "proxy": PROXY,
        "trust": {"additionalTrustedCAs": []},
    }
    cluster["spec"]["settings"] = {"network": network, "storage": {"classes": ["gold"], "defaultClass": "gold"}}
    cluster["spec"]["distribution"] = {"fullVersion": "v1.36.3+trustplane.1", "version": ""}
    applied = kubectl("apply", "--validate=strict", "--filename=-", body=cluster)
    assert applied.returncode == 0, applied.stderr


def test_statuses_of_the_controllers_fit_the_schemas(kubectl: Kubectl, configuration: Json, cluster: Json) -> None:
    bodies = [configuration, cluster, release_body("v1.36.3")]
    for body in bodies:
        accepted(kubectl, body)
    now = datetime.now(UTC)
    service, tkc, release = (
        msgspec.convert(body, kind)
        for body, kind in zip(
            bodies, (TkgServiceConfiguration, TanzuKubernetesCluster, TanzuKubernetesRelease), strict=True
        )
    )
    nothing = CapiObjects(cluster=None, control_plane=None, machine_deployments=[])
    unknown = resolve_release(tkc, [])
    assert isinstance(unknown, Finding)
    reports = [
        service_configuration_status(service, parse_list([TrustedCA(name="corp", data="!")]), now=now),
        cluster_status(tkc, observed=nothing, release=unknown, updates=["v1.37.0"], decision=None, trust=None, now=now),
        release_status(release, now=now),
    ]
    for report in reports:
        applied = kubectl(
            *(
                "apply",
                "--server-side",
                "--force-conflicts",
                "--subresource=status",
                "--validate=strict",
                "--filename=-",
            ),
            body=report,
        )
        assert applied.returncode == 0, applied.stderr
    assert columns(kubectl, "tkr", "v1.36.3---trustplane.1")[1][2:4] == ["True", "True"]
    assert columns(kubectl, "tkc", tkc.metadata.name)[1][5:] == ["False", "False", "[v1.37.0]"]


def test_release_keeps_its_version(kubectl: Kubectl) -> None:
    release = release_body("v1.35.1")
    accepted(kubectl, release)
    release["spec"]["kubernetes"]["version"] = "v1.35.2"
    refused(kubectl, release, "changes the version of a release")
