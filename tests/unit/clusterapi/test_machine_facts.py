import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from trustplane.api.clusterapi import KubeadmConfig, Machine
from trustplane.api.clustertrust import BOOTSTRAP, IN_PLACE
from trustplane.api.configuration import TrustedCA
from trustplane.api.meta import Json
from trustplane.clusterapi.machine_facts import bootstrap_digest, facts
from trustplane.trust.entries import EMPTY, read

EXAMPLES = Path(__file__).parents[3] / "examples"
DIGEST = "0123456789abcdef" * 4


def machine(annotations: dict[str, str] | None = None, *conditions: Json) -> Machine:
    body = {
        "metadata": {"name": "m", "annotations": annotations or {}, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "status": {"nodeRef": {"name": "n"}, "conditions": list(conditions)},
    }
    return msgspec.convert(body, Machine)


def config(*secrets: str) -> KubeadmConfig:
    files: list[Any] = [{"path": "/etc/kubernetes/audit.yaml", "content": "x"}]
    for index, name in enumerate(secrets):
        source = {"secret": {"name": name, "key": "x.pem"}}
        files.append({"path": f"/etc/ssl/certs/tkg-e{index}.pem", "contentFrom": source})
    return msgspec.convert({"spec": {"files": files}}, KubeadmConfig)


def test_a_new_machine_has_what_its_bootstrap_data_wrote() -> None:
    found = facts(machine(), config(f"c-trust-{DIGEST[:10]}", f"c-trust-{DIGEST[:10]}"))
    assert (found.digest, found.method, found.node) == (DIGEST[:10], BOOTSTRAP, "n")
    assert found.changed_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_was_written_later_counts() -> None:
    applied = {"digest": DIGEST, "at": "2026-02-02T00:00:00Z", "method": IN_PLACE, "restarted": True, "more": 1}
    found = facts(machine({"trustplane.dev/trust-applied": json.dumps(applied)}), config("c-trust-ffffffffff"))
    assert (found.digest, found.method) == (DIGEST, IN_PLACE)
    assert found.changed_at == datetime(2026, 2, 2, tzinfo=UTC)


def test_during_its_first_update_in_place_it_is_not_known_what_a_node_has() -> None:
    updating = {"in-place-updates.internal.cluster.x-k8s.io/update-in-progress": ""}
    found = facts(machine(updating), config(f"c-trust-{DIGEST[:10]}"))
    assert found.digest == ""
    assert found.is_updating
    assert found.is_moving(DIGEST)


def test_a_configuration_that_does_not_name_yet_what_was_written_is_no_measure_of_its_files() -> None:
    written = machine({"trustplane.dev/trust-applied": json.dumps({"digest": DIGEST})})
    assert facts(written, config(f"c-trust-{DIGEST[:10]}")).is_configured
    assert facts(written, None).is_configured
    assert facts(machine(), config("c-trust-ffffffffff")).is_configured
    assert not facts(written, config("c-trust-ffffffffff")).is_configured
    assert not facts(written, config()).is_configured


def test_what_hinders_the_manager_is_why_an_update_fails() -> None:
    found = facts(machine({"trustplane.dev/trust-hindrance": "Cannot open SSH"}), None)
    assert found.update_error == "Cannot open SSH"


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"digest": 1}'])
def test_a_spoilt_annotation_counts_as_absent(text: str) -> None:
    found = facts(machine({"trustplane.dev/trust-proof": text, "trustplane.dev/trust-applied": text}), config())
    assert found.proof is None
    assert found.digest == EMPTY.digest


def test_conditions_of_cluster_api_are_read() -> None:
    found = facts(
        machine(
            None,
            {"type": "NodeReady", "status": "Unknown", "message": "Kubelet stopped posting node status"},
            {"type": "UpToDate", "status": "False"},
            {"type": "Updating", "status": "True", "reason": "InPlaceUpdateFailed", "message": "no SSH"},
        ),
        None,
    )
    assert "stopped posting" in found.silence
    assert not found.is_up_to_date
    assert found.update_error == "no SSH"
    not_ready = facts(machine(None, {"type": "NodeReady", "status": "False", "message": "no CNI"}), None)
    assert not_ready.silence == ""
    assert not facts(machine(), None, rolled_out=False).is_up_to_date


def test_entries_of_single_registries_name_the_set_too() -> None:
    example = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())
    data = example["spec"]["trust"]["additionalTrustedCAs"][0]["data"]
    folder = "/etc/containerd/certs.d/r.test"
    toml = {"path": f"{folder}/hosts.toml", "content": "x"}

    def scoped(secret: str) -> KubeadmConfig:
        source = {"secret": {"name": secret, "key": "x.pem"}}
        files = [{"path": f"{folder}/tkg-corp.pem", "contentFrom": source}, toml]
        return msgspec.convert({"spec": {"files": files}}, KubeadmConfig)

    assert bootstrap_digest(scoped(f"c-trust-{DIGEST[:10]}")) == DIGEST[:10]
    users = read([TrustedCA(name=name, data=data) for name in ("corp", "other")]).trust
    wanted = read([TrustedCA(name="corp", data=data)]).trust.scoped({"corp": ["r.test"]})
    assert bootstrap_digest(scoped("c-user-trusted-ca-secret"), users) == wanted.digest
    assert bootstrap_digest(scoped("c-user-trusted-ca-secret")) == ""


def test_bootstrap_configurations_that_name_no_one_set() -> None:
    assert bootstrap_digest(config()) == EMPTY.digest
    assert bootstrap_digest(config("c-trust-aaaaaaaaaa", "c-trust-bbbbbbbbbb")) == ""
    assert bootstrap_digest(config("c-user-trusted-ca-secret")) == ""
