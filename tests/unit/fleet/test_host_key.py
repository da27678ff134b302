"""What a workload cluster's API server says of a Node's SSH host keys; that server may be anybody's."""

import pytest

from trustplane.errors import TrustplaneError
from trustplane.kube.kinds import WORKLOAD_NODES
from trustplane.nodes import hostkey

KEY = "ssh-ed25519 AAAAC3Nza"


def test_a_node_says_which_keys_it_has() -> None:
    found = WORKLOAD_NODES.decode(f'{{"metadata":{{"annotations":{{"{hostkey.REPORTED}":"{KEY},"}}}}}}'.encode())
    assert hostkey.reported_keys(found.metadata.annotations) == {KEY}


@pytest.mark.parametrize(
    "metadata",
    ["[]", '"x"', '{"annotations":[1]}', '{"annotations":"x"}', f'{{"annotations":{{"{hostkey.REPORTED}":5}}}}'],
)
def test_a_node_of_another_form_is_refused_as_any_answer_that_cannot_be_read(metadata: str) -> None:
    with pytest.raises(TrustplaneError):
        WORKLOAD_NODES.decode(f'{{"metadata":{metadata}}}'.encode())
