"""What a node is asked to have is the set that its cluster has taken, on whichever way it comes."""

import base64
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import KubeadmConfig
from trustplane.api.configuration import TrustedCA
from trustplane.clusterapi import secret, variable
from trustplane.clusterapi.cluster import desired_cluster
from trustplane.clusterapi.files import wanted
from trustplane.clusterapi.inplace import trust_files
from trustplane.clusterapi.inplace_files import contents
from trustplane.clusterapi.machine_facts import bootstrap_digest
from trustplane.errors import UserError
from trustplane.machines.update import _trust_set
from trustplane.nodes import plan
from trustplane.trust.entries import SHORT, TrustSet, read
from trustplane.trust.places import place, toml_host

EXAMPLES = Path(__file__).parents[3] / "examples"
SERVICE = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())
TKC = msgspec.convert(yaml.safe_load((EXAMPLES / "tanzukubernetescluster.yaml").read_text()), TanzuKubernetesCluster)
CAS = [one["data"] for one in SERVICE["spec"]["trust"]["additionalTrustedCAs"]]
HOSTS = st.sampled_from(["r.test", "s.test:5000", "[fd00::1]:443"])


@st.composite
def sets(draw: st.DrawFn) -> TrustSet:
    names = draw(st.dictionaries(st.sampled_from(["a", "b", "c", "hosts"]), st.sampled_from(CAS), min_size=1))
    listed = [TrustedCA(name=name, data=data) for name, data in names.items()]
    return read(listed).trust.scoped({name: draw(st.lists(HOSTS, max_size=3)) for name in names})


@given(sets())
def test_the_set_survives_the_way_from_the_cluster_to_the_node(trust: TrustSet) -> None:
    cluster = desired_cluster(TKC, kubernetes_version="v1.36.3", trust=trust, annotations={}, ssh_public_key="k")
    [value] = [one["value"] for one in cluster["spec"]["topology"]["variables"] if one["name"] == "trust"]
    files = wanted(variable.read(value, "c"))
    held = secret.desired_secret(TKC, trust)
    written = contents(trust_files(files), {held["metadata"]["name"]: held["data"]})
    assert _trust_set(tuple(written.items())) == trust

    config = msgspec.convert({"spec": {"files": files}}, KubeadmConfig)
    assert bootstrap_digest(config) == trust.digest[:SHORT]
    assert {found.name for path in written if (found := place(path)) and not found.host} == set(trust.node_wide.names)
    assert {toml_host(path) for path in written} - {""} == {host for found in trust.hosts.values() for host in found}
    order = list(written)
    for path, content in written.items():
        named = [one for one in order if f'"{one}"' in content]
        assert all(order.index(one) < order.index(path) for one in named)
        assert bool(named) == bool(toml_host(path))
    assert plan.pool_digest(dict.fromkeys(written, "x")) == plan.pool_digest(
        dict.fromkeys((path for path in written if path.startswith("/etc/ssl/certs/")), "x")
    )


def test_a_file_without_certificates_is_refused() -> None:
    pem = base64.b64decode(CAS[0]).decode()
    good = ("/etc/containerd/certs.d/r.test/tkg-a.pem", pem)
    assert _trust_set((good,)).hosts == {"a": ("r.test",)}
    with pytest.raises(UserError, match="no certificates that can be used"):
        _trust_set((good, ("/etc/ssl/certs/tkg-b.pem", "x")))
