import base64

import asyncssh
import pytest

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.core import Secret
from trustplane.api.meta import Metadata
from trustplane.controllers.clusters import ssh_key
from trustplane.errors import UserError


def _secret(content: bytes) -> Secret:
    data = {ssh_key.PRIVATE_KEY: base64.b64encode(content).decode()}
    return Secret(metadata=Metadata(name="c-ssh"), data=data)


def test_a_new_key_is_what_openssh_reads_and_goes_with_its_cluster() -> None:
    tkc = TanzuKubernetesCluster(metadata=Metadata(name="c", namespace="n", uid="u"))
    body = ssh_key._new_secret(tkc)
    private = asyncssh.import_private_key(base64.b64decode(body["data"]["ssh-privatekey"]))
    public = asyncssh.import_public_key(base64.b64decode(body["data"]["ssh-publickey"]))
    assert private.get_algorithm() == "ssh-ed25519"
    assert private.public_data == public.public_data
    assert (body["metadata"]["name"], body["type"]) == ("c-ssh", "kubernetes.io/ssh-auth")
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u"


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_users_own_key_is_taken_as_it_is(algorithm: str) -> None:
    key = asyncssh.generate_private_key(algorithm)
    derived = ssh_key.derive_public_key(_secret(key.export_private_key()))
    assert asyncssh.import_public_key(derived).public_data == key.public_data


@pytest.mark.parametrize(
    "content",
    [b"", b"no key", asyncssh.generate_private_key("ssh-ed25519").export_public_key()],
)
def test_what_is_no_private_key_is_reported_and_not_shown(content: bytes) -> None:
    with pytest.raises(
        UserError, match=r"Secret c-ssh holds no SSH key .* Put an unencrypted OpenSSH private key"
    ) as e:
        ssh_key.derive_public_key(_secret(content))
    assert "AAAA" not in str(e.value)


def test_a_secret_without_the_key_is_reported() -> None:
    with pytest.raises(UserError, match="ssh-privatekey is missing"):
        ssh_key.derive_public_key(Secret(metadata=Metadata(name="c-ssh")))
