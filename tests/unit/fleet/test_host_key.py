"""A Node's SSH host keys as reported by a workload cluster's API server, which a tenant may control."""

import pytest

from trustplane.errors import TrustplaneError
from trustplane.kube.kinds import WORKLOAD_NODES
from trustplane.nodes import hostkey

KEY = "ssh-ed25519 AAAAC3Nza"


def test_a_node_reports_its_keys() -> None:
    node = WORKLOAD_NODES.decode(f'{{"metadata":{{"annotations":{{"{hostkey.REPORTED}":"{KEY},"}}}}}}'.encode())
    assert hostkey.reported_keys(node.metadata.annotations) == {KEY}


@pytest.mark.parametrize(
    "metadata",
    ["[]", '"x"', '{"annotations":[1]}', '{"annotations":"x"}', f'{{"annotations":{{"{hostkey.REPORTED}":5}}}}'],
)
def test_a_malformed_node_is_refused(metadata: str) -> None:
    with pytest.raises(TrustplaneError):
        WORKLOAD_NODES.decode(f'{{"metadata":{metadata}}}'.encode())
