import base64
from typing import Any

import pytest

from trustplane.clusterapi import inplace_update
from trustplane.clusterapi.inplace_files import TrustFile, bootstrap_files, contents
from trustplane.errors import TransientError, UserError
from trustplane.trust.places import toml

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PATH = "/etc/ssl/certs/tkg-a.pem"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def request(**config: Any) -> dict[str, Any]:
    return {
        "desired": {
            "machine": {
                "metadata": {"name": "m1", "namespace": "ns1", "labels": {"cluster.x-k8s.io/cluster-name": "c1"}},
                "spec": {"clusterName": "c1", "bootstrap": {"dataSecretName": "m1-data"}},
            },
            "bootstrapConfig": {"kind": "KubeadmConfig", "spec": config},
        }
    }


def test_a_request_names_the_machine_and_its_trust_files() -> None:
    ours = {"path": PATH, "owner": "root:root", "permissions": "0644"}
    found = inplace_update.read(
        request(
            files=[
                {"path": "/etc/motd", "content": "hello"},
                ours | {"contentFrom": {"secret": {"name": "s", "key": "a.pem"}}},
                ours | {"path": "/etc/ssl/certs/tkg-b.pem", "content": PEM},
                ours | {"path": "/etc/ssl/certs/tkg-c.pem", "content": b64(PEM), "encoding": "base64"},
            ]
        )
    )
    assert (found.namespace, found.name, found.cluster, found.bootstrap_secret) == ("ns1", "m1", "c1", "m1-data")
    assert found.secrets == {"s"}
    paths = [PATH, "/etc/ssl/certs/tkg-b.pem", "/etc/ssl/certs/tkg-c.pem"]
    assert contents(found.files, {"s": {"a.pem": b64(PEM)}}) == dict.fromkeys(paths, PEM)


@pytest.mark.parametrize("config", [{}, {"files": []}, {"files": [{"path": "/etc/motd"}]}])
def test_no_trust_files_are_a_wish_as_well(config: dict[str, Any]) -> None:
    assert inplace_update.read(request(**config)).files == ()


def test_the_form_of_vsphere_8_is_base64_within_the_secret() -> None:
    file = TrustFile(PATH, secret="s", key="a", is_base64=True)
    assert contents([file], {"s": {"a": b64(b64(PEM))}}) == {PATH: PEM}


@pytest.mark.parametrize("secrets", [{}, {"s": {}}, {"s": {"b.pem": ""}}])
def test_a_missing_secret_or_key_ends_in_nothing_at_all(secrets: dict[str, dict[str, str]]) -> None:
    with pytest.raises(TransientError, match=r"Secret s has no key a\.pem"):
        contents([TrustFile(PATH, content=PEM), TrustFile(PATH, secret="s", key="a.pem")], secrets)


def test_content_that_is_not_what_it_says_is_refused() -> None:
    with pytest.raises(UserError, match="not base64 of text"):
        contents([TrustFile(PATH, secret="s", key="a", is_base64=True)], {"s": {"a": b64("abc")}})


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"desired": {}},
        {"desired": {"machine": {"metadata": {"name": "m1", "namespace": "n"}}, "bootstrapConfig": {}}},
    ],
)
def test_a_request_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        inplace_update.read(broken)


def test_the_best_address_is_chosen() -> None:
    addresses = [
        {"type": "Hostname", "address": "m1"},
        {"type": "ExternalIP", "address": "203.0.113.1"},
        {"type": "InternalIP", "address": "10.0.0.1"},
    ]
    assert inplace_update.address({"status": {"addresses": addresses}}) == "10.0.0.1"
    assert inplace_update.address({"status": {"addresses": addresses[:2]}}) == "203.0.113.1"
    with pytest.raises(TransientError, match="has no address"):
        inplace_update.address({"metadata": {"name": "m1"}, "status": {"addresses": addresses[:1]}})


def test_answers() -> None:
    assert inplace_update.done()["retryAfterSeconds"] == 0
    assert inplace_update.in_progress("x", retry_after=0)["retryAfterSeconds"] == 1
    assert inplace_update.failed("x")["status"] == "Failure"


CLOUD_CONFIG = f"""## template: jinja
#cloud-config

write_files:
-   path: {PATH}
    owner: root:root
    permissions: '0644'
    content: |
      -----BEGIN CERTIFICATE-----
      MIIB
      -----END CERTIFICATE-----
      
-   path: /etc/ssl/certs/tkg-b.pem
    encoding: "base64"
    owner: root:root
    permissions: '0644'
    content: |
      {b64(PEM)}
-   path: /run/kubeadm/kubeadm-join-config.yaml
    content: |
      ---
      podCIDR: {{{{ ds.meta_data.pod_subnet }}}}
runcmd:
  - "true"
"""  # noqa: W293  the blank line is as Cluster API indents it


def test_what_bootstrap_data_wrote_is_read_from_it() -> None:
    assert bootstrap_files(CLOUD_CONFIG.encode()) == {PATH: PEM, "/etc/ssl/certs/tkg-b.pem": PEM}


def test_files_of_single_registries_are_read_from_it_as_they_were_written() -> None:
    """Cluster API indents every line of the content."""
    folder, ours = "/etc/containerd/certs.d/r.test", toml("r.test", ["a"])
    written = {f"{folder}/tkg-a.pem": PEM, f"{folder}/hosts.toml": ours}
    foreign = {"/etc/containerd/certs.d/s.test/hosts.toml": 'server = "https://s.test"\n', f"{folder}/ca.crt": PEM}
    files = [
        f"-   path: {path}\n    content: |\n" + "\n".join(f"      {line}" for line in content.split("\n"))
        for path, content in {**written, **foreign}.items()
    ]
    data = "## template: jinja\n#cloud-config\n\nwrite_files:\n" + "\n".join(files)
    assert bootstrap_files(data.encode()) == written


@pytest.mark.parametrize("data", [b"", b'{"ignition": {"version": "3.4.0"}}', b"\t- [", b"- a", b"\xff\xfe"])
def test_other_bootstrap_data_says_nothing(data: bytes) -> None:
    assert bootstrap_files(data) is None
