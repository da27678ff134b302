import pytest

from trustplane.api.meta import Metadata, Object
from trustplane.errors import NodeError
from trustplane.nodes import hostkey

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFoo"


def machine(**annotations: str) -> Object:
    named = {f"trustplane.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return Object(metadata=Metadata(name="m1", resource_version="7", annotations=named))


def test_the_first_key_is_pinned_to_the_machine_as_it_was_read() -> None:
    patch = hostkey.check_host_key(machine(), f"{KEY} a comment\n")
    assert patch == {"metadata": {"resourceVersion": "7", "annotations": {hostkey.ANNOTATION: f"{KEY} a comment"}}}


def test_the_pinned_key_is_accepted_whatever_its_comment() -> None:
    assert hostkey.check_host_key(machine(ssh_host_key=f"{KEY} root@m1"), KEY) is None


@pytest.mark.parametrize("shown", [KEY + "x", f"ssh-rsa {KEY.split()[1]}"])
def test_another_key_is_refused_with_the_way_out(shown: str) -> None:
    with pytest.raises(NodeError, match=r"host key of the node of Machine m1 has changed.* remove annotation"):
        hostkey.check_host_key(machine(ssh_host_key=KEY), shown)


def test_no_key_is_refused() -> None:
    with pytest.raises(NodeError, match="shown no host key"):
        hostkey.check_host_key(machine(), "")
