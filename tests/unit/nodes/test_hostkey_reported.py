"""Host keys that a node has reported by its kubelet's identity, before anybody connects to it."""

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
    return Object(metadata=Metadata(name="one", resource_version="7", annotations=annotations))


def test_a_report_is_read() -> None:
    assert hostkey.reported_keys({hostkey.REPORTED: f"{ED},{RSA},"}) == {ED, RSA}


@pytest.mark.parametrize("text", ["", ",", "ssh-ed25519", "x" * 20_000, ",".join([ED] * 2000)])
def test_a_report_that_is_none_says_nothing(text: str) -> None:
    assert hostkey.reported_keys({hostkey.REPORTED: text}) == frozenset()


@given(st.text())
def test_whatever_stands_there_is_read_without_an_error(text: str) -> None:
    assert len(hostkey.reported_keys({hostkey.REPORTED: text})) <= 16


def test_a_key_that_was_reported_is_pinned_at_first_contact() -> None:
    patch = hostkey.check_host_key(machine(), f"{ED} root@node", {ED, RSA})
    assert patch == {"metadata": {"resourceVersion": "7", "annotations": {hostkey.ANNOTATION: f"{ED} root@node"}}}


def test_whoever_shows_another_key_at_first_contact_is_refused() -> None:
    with pytest.raises(NodeError, match="Not the node of Machine one answers at its address"):
        hostkey.check_host_key(machine(), OTHER, {ED, RSA})


def test_keys_that_a_reboot_has_made_anew_are_pinned_where_the_node_says_so() -> None:
    assert hostkey.check_host_key(machine(pinned=OTHER), ED, {ED}) is not None
    with pytest.raises(NodeError, match="has changed"):
        hostkey.check_host_key(machine(pinned=OTHER), ED)


def test_a_pinned_key_needs_no_report() -> None:
    assert hostkey.is_known(machine(pinned=f"{ED} comment"), ED)
    assert not hostkey.is_known(machine(pinned=ED), OTHER)
    assert not hostkey.is_known(machine(), ED)
    assert hostkey.check_host_key(machine(pinned=ED), ED) is None
