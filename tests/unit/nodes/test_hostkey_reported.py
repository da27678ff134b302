"""Host keys that a node reports with its kubelet's credentials, before the first SSH connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.meta import Metadata, Object
from trustplane.errors import NodeError
from trustplane.nodes import hostkey

ED, RSA = "ssh-ed25519 AAAAC3Nza", "ssh-rsa AAAAB3Nza"
OTHER = "ssh-ed25519 AAAAother"


def machine(pinned: str = "") -> Object:
    annotations = {hostkey.ANNOTATION: pinned} if pinned else {}
    return Object(metadata=Metadata(name="m1", resource_version="7", annotations=annotations))


def test_a_report_is_parsed() -> None:
    assert hostkey.reported_keys({hostkey.REPORTED: f"{ED},{RSA},"}) == {ED, RSA}


@pytest.mark.parametrize("text", ["", ",", "ssh-ed25519", "x" * 20_000, ",".join([ED] * 2000)])
def test_an_invalid_report_has_no_keys(text: str) -> None:
    assert hostkey.reported_keys({hostkey.REPORTED: text}) == frozenset()


@given(st.text())
def test_any_annotation_is_parsed_without_an_error(text: str) -> None:
    assert len(hostkey.reported_keys({hostkey.REPORTED: text})) <= 16


def test_a_reported_key_is_pinned_at_first_contact() -> None:
    patch = hostkey.check_host_key(machine(), f"{ED} root@node", {ED, RSA})
    assert patch == {"metadata": {"resourceVersion": "7", "annotations": {hostkey.ANNOTATION: f"{ED} root@node"}}}


def test_a_server_with_an_unreported_key_is_refused_at_first_contact() -> None:
    with pytest.raises(NodeError, match="Another machine answers at the address of Machine m1"):
        hostkey.check_host_key(machine(), OTHER, {ED, RSA})


def test_keys_generated_at_a_reboot_replace_the_pin_if_the_node_reports_them() -> None:
    assert hostkey.check_host_key(machine(pinned=OTHER), ED, {ED}) is not None
    with pytest.raises(NodeError, match="has changed"):
        hostkey.check_host_key(machine(pinned=OTHER), ED)


def test_a_pinned_key_needs_no_report() -> None:
    assert hostkey.is_known(machine(pinned=f"{ED} comment"), ED)
    assert not hostkey.is_known(machine(pinned=ED), OTHER)
    assert not hostkey.is_known(machine(), ED)
    assert hostkey.check_host_key(machine(pinned=ED), ED) is None
