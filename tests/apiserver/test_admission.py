"""The webhook from a user's view: real kubectl, a real API server, and `trustplane webhook` over TLS."""

import base64
import contextlib
import copy
import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from oracle import drafts
from oracle.drafts import BASIC, EKU, KEY_USAGE, SAN, Draft
from oracle.encoding import dns, time
from oracle.keyring import Keyring
from oracle.pem import data, pem
from tests.apiserver.conftest import Process, answers, free_port
from tests.apiserver.controllers.conftest import cluster_api_crds

from trustplane.api import webhooks
from trustplane.api.crds import crds
from trustplane.api.meta import Json
from trustplane_local import pki

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIGURATION = "tkgserviceconfigurations.v1alpha3.run.tanzu.vmware.com"
ALLOWED = {"trustplane.dev/allow-removal": "true"}
KEYS = Keyring()
CAS = {name: drafts.ca(f"Corp {name}", KEYS.usual[number % 3]).der for number, name in enumerate("abcdef")}
GOOD = {name: data(der) for name, der in CAS.items()}

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def encoded(content: str | bytes) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def private_key(encoding: serialization.Encoding) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def ca(change: Callable[[Draft], object]) -> str:
    draft = drafts.ca("Corp Root", KEYS.usual[0])
    change(draft)
    return data(draft.der)


def wrapped(text: str) -> str:
    return "\n".join(text[at : at + 5] for at in range(0, len(text), 5))


KEY_PEM = private_key(serialization.Encoding.PEM).decode()
KEY_DER = private_key(serialization.Encoding.DER)
# Defects that the API server's own rules cannot detect.
BROKEN = {
    "not-base64": GOOD["a"][:-1],
    "double-base64": "\n" + encoded(GOOD["a"]),
    "der": "\n" + encoded(CAS["a"]),
    "utf-16": encoded(pem(CAS["a"]).encode("utf-16")),
    "no-certificate": encoded("just some text"),
    "unparsable-certificate": encoded(pem(CAS["a"]).replace("MII", "MIJ", 1)),
    "private-key": encoded(KEY_DER),
    "unreadable-on-nodes": ca(lambda one: one.put(SAN, b"")),
}
MESSY = {
    "wrapped-base64": wrapped(GOOD["a"]),
    "crlf": encoded(pem(CAS["a"]).replace("\n", "\r\n")),
    "text-around": encoded(f"Bag Attributes\n    friendlyName: corp\n{pem(CAS['a'])}"),
    "other-pem-blocks": encoded(f"{pem(CAS['a'])}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
    "several-certificates": data(CAS["a"], CAS["b"]),
    "leaf": data(drafts.server(KEYS.usual[2], drafts.ca("R", KEYS.usual[0]), dns("registry.example")).der),
    "not-a-ca": ca(lambda one: one.drop(BASIC)),
    "no-key-cert-sign": ca(lambda one: one.put(KEY_USAGE, drafts.key_usage(6))),
    "old-version": ca(lambda one: (setattr(one, "version", None), one.extensions.clear())),
    "expired": ca(lambda one: setattr(one, "not_after", time("250601000000Z"))),
    "unhandled-critical-extension": ca(lambda one: one.put("1.2.3.4", b"\x05\x00", critical=True)),
    "no-server-auth": ca(lambda one: one.put(EKU, drafts.usages(drafts.CLIENT_AUTH))),
}


class Webhook(Process):
    """`trustplane webhook`, and a webhook configuration for it."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        super().__init__(folder / "webhook.log")
        self.port, self.health_port = free_port(), free_port()
        pki.keep_certificates(
            folder, "admission tests", [pki.Leaf("tls", "webhooks", hosts=("127.0.0.1",))], datetime.now(UTC)
        )
        self._context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._arguments = [
            *(sys.executable, "-m", "trustplane", "webhook", f"--kubeconfig={kubeconfig}", f"--port={self.port}"),
            f"--health-port={self.health_port}",
            *(f"--tls-cert={folder / 'tls.crt'}", f"--tls-key={folder / 'tls.key'}"),
        ]
        bundle = encoded((folder / "ca.crt").read_bytes())
        self.configuration = webhooks.validating({"url": f"https://127.0.0.1:{self.port}", "caBundle": bundle})

    def start(self) -> None:
        if not self.running:
            self.run(self._arguments)
        self.wait(lambda: answers(f"https://127.0.0.1:{self.port}/readyz", self._context))

    def reviews(self, kind: str) -> int:
        """The number of checked objects of a kind."""
        url = f"http://127.0.0.1:{self.health_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            lines = response.read().decode().splitlines()
        counts = [line.split()[-1] for line in lines if f'trustplane_admission_reviews_total{{kind="{kind}"' in line]
        return sum(int(float(count)) for count in counts)


@pytest.fixture(scope="module")
def kubectl(shared_apiserver: Any, binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Real kubectl, with Trustplane's CRDs and Cluster API's Cluster; `body` is passed as `-f -`."""
    shared_apiserver.start()
    folder = tmp_path_factory.mktemp("kubectl")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(shared_apiserver.kubeconfig))

    def run(*arguments: str, body: Json | list[Json] | None = None) -> subprocess.CompletedProcess[str]:
        text = yaml.safe_dump_all(body if isinstance(body, list) else [body]) if body else None
        command = [str(binaries / "kubectl"), f"--kubeconfig={kubeconfig}", f"--cache-dir={folder}", *arguments]
        return subprocess.run(command, input=text, text=True, capture_output=True, timeout=60, check=False)

    definitions = [*crds(), *cluster_api_crds(binaries.parent / "manifests")]
    done(run("apply", "--server-side", "--force-conflicts", "--filename=-", body=definitions))
    names = [f"crd/{definition['metadata']['name']}" for definition in definitions]
    done(run("wait", "--for=condition=Established", "--timeout=30s", *names))
    return run


@pytest.fixture(scope="module")
def server(shared_apiserver: Any, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(shared_apiserver.kubeconfig))
    server = Webhook(folder, kubeconfig)
    try:
        server.start()
        done(kubectl("apply", "--server-side", "--filename=-", body=server.configuration))
        probe = configuration(("probe", BROKEN["no-certificate"]))
        # The API server learns of a webhook a moment after it is stored, and does not report it.
        server.wait(lambda: kubectl("apply", "--dry-run=server", "--filename=-", body=probe).returncode != 0)
        yield server
    finally:
        server.kill()
        kubectl("delete", "validatingwebhookconfiguration", webhooks.NAME)


@pytest.fixture(autouse=True)
def _stock(kubectl: Kubectl, server: Webhook) -> Iterator[None]:
    """Start with a running webhook and without a configuration."""
    server.start()
    kubectl("delete", CONFIGURATION, "--all", "--wait=true")
    yield
    server.signal(signal.SIGCONT)


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    done(kubectl("create", "namespace", name))
    return name


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stderr


def configuration(*entries: tuple[str, str], annotations: Json | None = None, version: str = "v1alpha3") -> Json:
    body: Json = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())
    body["apiVersion"] = f"run.tanzu.vmware.com/{version}"
    body["spec"]["trust"] = {"additionalTrustedCAs": [{"name": name, "data": data} for name, data in entries]}
    body["metadata"]["annotations"] = annotations or {}
    return body


def tkc(namespace: str, *entries: tuple[str, str], name: str = "c", annotations: Json | None = None) -> Json:
    body: Json = yaml.safe_load((EXAMPLES / "tanzukubernetescluster.yaml").read_text())
    body["metadata"] = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    trust = {"additionalTrustedCAs": [{"name": name, "data": data} for name, data in entries]}
    body["spec"]["settings"] = {"network": {"trust": trust}}
    return body


def cluster(namespace: str, *names: str, name: str = "byo", **metadata: Any) -> Json:
    trust = {"name": "trust", "value": {"additionalTrustedCAs": [{"name": one} for one in names]}}
    variables = {"variables": [trust]} if names else {}
    topology = {"classRef": {"name": "any"}, "version": "v1.36.3", **variables}
    return {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"topology": topology},
    }


def user_secret(namespace: str, values: dict[str, str], name: str = "byo") -> Json:
    """As in vSphere 8: `values` are passed in place of base64 of PEM."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-user-trusted-ca-secret", "namespace": namespace},
        "data": {one: encoded(value) for one, value in values.items()},
    }


def apply(kubectl: Kubectl, body: Json, *arguments: str) -> subprocess.CompletedProcess[str]:
    return kubectl("apply", "--filename=-", *arguments, body=body)


def stored(kubectl: Kubectl, body: Json) -> Json | None:
    metadata = body["metadata"]
    namespace = [f"--namespace={metadata['namespace']}"] if "namespace" in metadata else []
    kind = {"TkgServiceConfiguration": CONFIGURATION, "TanzuKubernetesCluster": "tkc", "Cluster": "cluster"}
    result = kubectl("get", kind[body["kind"]], metadata["name"], *namespace, "--output=json", "--ignore-not-found")
    return json.loads(done(result) or result.stdout) if result.stdout else None


def refused(kubectl: Kubectl, body: Json, *words: str) -> str:
    before = stored(kubectl, body)
    result = apply(kubectl, body)
    assert result.returncode == 1, result.stdout + result.stderr
    for word in words:
        assert word in result.stderr
    assert stored(kubectl, body) == before
    return result.stderr


def warned(kubectl: Kubectl, body: Json, *words: str) -> list[str]:
    """Apply; return the lines with warnings, at least one of which must contain these texts."""
    stderr = done(apply(kubectl, body))
    lines = [line.removeprefix("Warning: ") for line in stderr.splitlines() if line.startswith("Warning: ")]
    for word in words:
        assert any(word in line for line in lines), stderr
    return lines


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_list_prints_its_finding_and_changes_nothing(kubectl: Kubectl, namespace: str, code: str) -> None:
    entries = [("fine", GOOD["b"]), ("corp", BROKEN[code])]
    refused(kubectl, configuration(*entries), f"additionalTrustedCAs[1] (corp): {code}: ")
    done(apply(kubectl, configuration(("fine", GOOD["b"]))))
    refused(kubectl, configuration(*entries), f"spec.trust.additionalTrustedCAs[1] (corp): {code}: ")
    refused(kubectl, tkc(namespace, *entries), f"spec.settings.network.trust.additionalTrustedCAs[1] (corp): {code}: ")


@pytest.mark.parametrize("code", MESSY)
def test_a_messy_list_is_stored_with_warnings(kubectl: Kubectl, namespace: str, code: str) -> None:
    body = configuration(("fine", GOOD["f"]), ("corp", MESSY[code]))
    lines = warned(kubectl, body, f"additionalTrustedCAs[1] (corp): {code}: ")
    assert all(len(line) <= 256 for line in lines)
    kept = stored(kubectl, body)
    assert kept
    assert kept["spec"]["trust"] == body["spec"]["trust"]
    warned(kubectl, tkc(namespace, ("corp", MESSY[code])), f"(corp): {code}: ")


def test_a_good_list_is_stored_without_warnings(kubectl: Kubectl, namespace: str) -> None:
    assert done(apply(kubectl, configuration(("a", GOOD["a"]), ("b", GOOD["b"])))) == ""
    assert done(apply(kubectl, tkc(namespace, ("a", GOOD["a"])))) == ""


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2", "v1alpha3"])
def test_every_version_is_checked(kubectl: Kubectl, version: str) -> None:
    refused(kubectl, configuration(("corp", BROKEN["no-certificate"]), version=version), "no-certificate")


def test_a_refusal_looks_like_those_of_the_schema(kubectl: Kubectl) -> None:
    result = apply(kubectl, configuration(("corp", BROKEN["no-certificate"])))
    assert result.stderr == (
        'The TkgServiceConfiguration "tkg-service-configuration" is invalid: '
        "spec.trust.additionalTrustedCAs[0] (corp): no-certificate: data holds no certificate. "
        "Decoded, it has no -----BEGIN CERTIFICATE----- block. "
        "Write the output of `base64 -w0 ca.pem` into `data`\n"
    )


def test_of_many_findings_the_first_are_shown_and_the_rest_counted(kubectl: Kubectl) -> None:
    many = [(f"corp-{number}", BROKEN["no-certificate"]) for number in range(30)]
    stderr = refused(kubectl, configuration(*many), "20 more findings. To see all of them: trustplane check FILE")
    assert stderr.count("no-certificate") == 10
    odd = [(f"corp-{number}", encoded(f"# {number}\n{pem(CAS['a'])}")) for number in range(30)]
    lines = warned(kubectl, configuration(*odd), "more findings. To see all of them: trustplane check FILE")
    assert sum(map(len, lines)) < 4096


KEYS_PASTED = {
    "der": encoded(KEY_DER),
    "pem": encoded(KEY_PEM),
    "behind-a-certificate": encoded(pem(CAS["a"]) + KEY_PEM),
    "wrapped": wrapped(encoded(pem(CAS["a"]) + KEY_PEM)),
    "twice-encoded": "\n" + encoded(encoded(KEY_PEM)),
}


@pytest.mark.parametrize("case", KEYS_PASTED)
@pytest.mark.parametrize("how", [("create",), ("apply",), ("apply", "--server-side")], ids=" ".join)
def test_a_private_key_is_refused_and_shown_nowhere(
    kubectl: Kubectl, server: Webhook, how: tuple[str, ...], case: str
) -> None:
    secret = KEYS_PASTED[case]
    if how != ("create",):
        done(kubectl(*how, "--filename=-", body=configuration(("fine", GOOD["b"]))))
    result = kubectl(*how, "--filename=-", body=configuration(("fine", GOOD["b"]), ("corp", secret)))
    assert result.returncode == 1
    assert "private" in result.stderr
    events = done(kubectl("get", "events", "--all-namespaces", "--output=json"))
    for shown in (result.stdout, result.stderr, server.log.read_text(), events):
        for part in (secret[-24:], encoded(KEY_DER)[-24:], KEY_PEM.splitlines()[1][:24]):
            assert part not in shown


FOUR = [(name, GOOD[name]) for name in "abcd"]


def test_dropping_more_than_half_needs_permission(kubectl: Kubectl, namespace: str) -> None:
    for make in (configuration, lambda *entries, **more: tkc(namespace, *entries, **more)):
        done(apply(kubectl, make(*FOUR)))
        stderr = refused(kubectl, make(*FOUR[:1]), "removal-not-allowed: ", "3 of 4 certificates: b (")
        assert re.search(r"b \([0-9a-f]{10}\), c \([0-9a-f]{10}\), d \([0-9a-f]{10}\)", stderr)
        assert 'trustplane.dev/allow-removal: "true"' in stderr
        warned(kubectl, make(*FOUR[:1], annotations=ALLOWED), "removal-allowed: ", "3 of 4 certificates")


def test_half_of_a_list_may_be_removed(kubectl: Kubectl) -> None:
    done(apply(kubectl, configuration(*FOUR)))
    assert done(apply(kubectl, configuration(*FOUR[:2]))) == ""


@pytest.mark.parametrize("how", ["empty", "left-out"])
def test_emptying_a_list_needs_permission(kubectl: Kubectl, how: str) -> None:
    done(apply(kubectl, configuration(("a", GOOD["a"]))))
    emptied, permitted = configuration(), configuration(annotations=ALLOWED)
    if how == "left-out":
        del emptied["spec"]["trust"], permitted["spec"]["trust"]
    refused(kubectl, emptied, "removal-not-allowed: ", "1 of 1 certificates: a (")
    warned(kubectl, permitted, "removal-allowed: ")


def test_another_value_of_the_annotation_allows_nothing(kubectl: Kubectl) -> None:
    done(apply(kubectl, configuration(("a", GOOD["a"]))))
    refused(kubectl, configuration(annotations={"trustplane.dev/allow-removal": "yes"}), "removal-not-allowed")


def test_an_unused_permission_causes_a_warning(kubectl: Kubectl) -> None:
    warned(kubectl, configuration(("a", GOOD["a"]), annotations=ALLOWED), "unused-permission: ")


def test_renamed_and_re_encoded_entries_remove_nothing(kubectl: Kubectl) -> None:
    done(apply(kubectl, configuration(*FOUR)))
    done(apply(kubectl, configuration(("all", data(*(CAS[name] for name in "dcba"))))))
    again = [(f"new-{name}", wrapped(encoded(pem(CAS[name]).replace("\n", "\r\n")))) for name in "bacd"]
    done(apply(kubectl, configuration(*again)))


def test_a_rotation_under_the_same_name_causes_a_warning_and_under_another_is_refused(kubectl: Kubectl) -> None:
    done(apply(kubectl, configuration(("corp", GOOD["a"]))))
    warned(kubectl, configuration(("corp", GOOD["b"])), "replaced-at-once: ", "1 of 1 certificates: corp (")
    refused(kubectl, configuration(("corp-2", GOOD["c"])), "removal-not-allowed: ")
    done(apply(kubectl, configuration(("corp", GOOD["b"]), ("corp-2", GOOD["c"]))))
    assert done(apply(kubectl, configuration(("corp-2", GOOD["c"])))) == ""


def test_a_new_empty_own_list_causes_a_warning(kubectl: Kubectl, namespace: str) -> None:
    warned(kubectl, tkc(namespace), "empty-list: ")


def test_clusters_are_checked_by_the_secret_that_they_name(kubectl: Kubectl, namespace: str) -> None:
    warned(kubectl, cluster(namespace, "corp"), "no-secret: ", "byo-user-trusted-ca-secret")
    done(kubectl("delete", "cluster", "byo", f"--namespace={namespace}"))
    done(apply(kubectl, user_secret(namespace, {"corp": pem(CAS["a"])})))
    refused(kubectl, cluster(namespace, "corp"), "Secret byo-user-trusted-ca-secret[0] (corp): not-base64", "twice in")
    done(apply(kubectl, user_secret(namespace, {"corp": encoded(KEY_PEM)})))
    assert encoded(KEY_PEM)[-24:] not in refused(kubectl, cluster(namespace, "corp"), "private-key")
    done(apply(kubectl, user_secret(namespace, {"corp": GOOD["a"], "crlf": MESSY["crlf"]})))
    assert done(apply(kubectl, cluster(namespace, "corp"))) == ""
    warned(kubectl, cluster(namespace, "corp", "crlf", "lost"), "crlf: ", "no-key: ")
    refused(kubectl, cluster(namespace, "corp", "corp"), "bad-variable: ", "two entries named corp")


def test_removals_from_clusters_are_also_guarded(kubectl: Kubectl, namespace: str) -> None:
    done(apply(kubectl, user_secret(namespace, GOOD)))
    done(apply(kubectl, cluster(namespace, *"abcd")))
    refused(kubectl, cluster(namespace, "a"), "removal-not-allowed: ", "3 of 4 certificates")
    warned(kubectl, cluster(namespace, "a", annotations=ALLOWED), "removal-allowed: ")
    refused(kubectl, cluster(namespace), "removal-not-allowed: ")


def test_overrides_of_groups_of_machines_are_refused_and_stored_ones_block_no_other_change(
    kubectl: Kubectl, server: Webhook, namespace: str
) -> None:
    done(apply(kubectl, user_secret(namespace, GOOD)))
    own = {"overrides": [{"name": "trust", "value": {"additionalTrustedCAs": [{"name": "b"}]}}]}
    pools = [{"class": "w", "name": "np", "variables": own}]
    for groups in ({"workers": {"machineDeployments": pools}}, {"controlPlane": {"variables": own}}):
        body = cluster(namespace, "a")
        body["spec"]["topology"] |= groups
        refused(kubectl, body, "trust-override: ", "spec.topology.variables")
    server.kill()
    done(apply(kubectl, body))
    server.start()
    body["spec"]["topology"]["version"] = "v1.36.4"
    warned(kubectl, body, "trust-override: ")


def test_machine_pools_are_left_out_with_a_warning(kubectl: Kubectl, namespace: str) -> None:
    done(apply(kubectl, user_secret(namespace, GOOD)))
    body = cluster(namespace, "a")
    body["spec"]["topology"]["workers"] = {"machinePools": [{"class": "w", "name": "spot"}]}
    warned(kubectl, body, "machine-pools: ")


def test_clusters_without_trust_and_owned_clusters_are_not_checked(
    kubectl: Kubectl, server: Webhook, namespace: str
) -> None:
    owner = {"apiVersion": "run.tanzu.vmware.com/v1alpha3", "kind": "TanzuKubernetesCluster", "name": "c", "uid": "1"}
    before = server.reviews("Cluster")
    done(apply(kubectl, cluster(namespace, name="plain")))
    done(apply(kubectl, cluster(namespace, "x", "x", name="ours", ownerReferences=[owner])))
    assert server.reviews("Cluster") == before
    warned(kubectl, cluster(namespace, "x", name="theirs"), "no-secret")
    assert server.reviews("Cluster") == before + 1


def test_only_changes_of_the_list_are_checked(kubectl: Kubectl, server: Webhook, namespace: str) -> None:
    body = tkc(namespace, ("corp", BROKEN["no-certificate"]))
    server.kill()
    done(apply(kubectl, body))
    server.start()
    done(kubectl("label", "tkc", "c", f"--namespace={namespace}", "team=x"))
    scaled = copy.deepcopy(body)
    scaled["spec"]["topology"]["nodePools"][0]["replicas"] = 5
    done(apply(kubectl, scaled))
    status = json.dumps({"status": {"phase": "running"}})
    done(
        kubectl(
            *("patch", "tkc", "c", f"--namespace={namespace}"),
            *("--subresource=status", "--type=merge", f"--patch={status}"),
        )
    )
    assert server.reviews("TanzuKubernetesCluster") == 0
    assert done(apply(kubectl, tkc(namespace, ("corp", GOOD["a"])))) == ""


def test_a_deletion_is_never_refused(kubectl: Kubectl, server: Webhook, namespace: str) -> None:
    body = tkc(namespace, ("corp", BROKEN["no-certificate"]))
    body["metadata"]["finalizers"] = ["test.trustplane.dev/wait"]
    server.kill()
    done(apply(kubectl, body))
    server.start()
    done(kubectl("delete", "tkc", "c", f"--namespace={namespace}", "--wait=false"))
    finalizers = json.dumps({"metadata": {"finalizers": []}, "spec": {"settings": None}})
    done(kubectl("patch", "tkc", "c", f"--namespace={namespace}", "--type=merge", f"--patch={finalizers}"))
    assert stored(kubectl, body) is None


@pytest.mark.parametrize("how", ["stopped", "hanging"])
def test_without_the_webhook_the_api_answers_and_refuses_the_worst_lists(
    kubectl: Kubectl, server: Webhook, how: str
) -> None:
    done(apply(kubectl, configuration(("a", GOOD["a"]))))
    with without(server, how):
        done(apply(kubectl, configuration(("a", GOOD["b"]))))
        for entry, words in (
            (("corp", encoded(KEY_PEM)), "is a private key"),
            (("corp", encoded(pem(CAS["a"]) + KEY_PEM)), "holds a private key"),
            (("corp", "not base64!"), "is not base64"),
            (("corp", encoded(GOOD["a"])), "is base64 twice"),
            (("corp", encoded(CAS["a"])), "is base64 of DER"),
            (("../corp", GOOD["a"]), "cannot be part of a file's name"),
            (("a", GOOD["b"]), "two entries with one name"),
            (("corp", ""), "data"),
        ):
            refused(kubectl, configuration(("a", GOOD["b"]), entry), words)


@contextlib.contextmanager
def without(server: Webhook, how: str) -> Iterator[None]:
    if how == "stopped":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def test_dry_runs_are_checked(kubectl: Kubectl) -> None:
    result = apply(kubectl, configuration(("corp", BROKEN["no-certificate"])), "--dry-run=server")
    assert "no-certificate" in result.stderr
