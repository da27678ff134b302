"""Arbitrary content in a tenant's objects and Secrets does not affect reports on other clusters."""

import asyncio
import base64
import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.api.limits import schema_of, violations
from tests.unit.controllers.fleet import NAMESPACE, Fleet, trust
from tests.unit.controllers.test_registry_index import Indexed, key

from trustplane.api import annotations as names
from trustplane.api.clustertrust import PROVE_REQUESTED_AT
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.controllers.cluster_trust.controller import ClusterTrustReconciler
from trustplane.kube import kinds
from trustplane.kube.errors import UnreadableError
from trustplane.trust.propagation import PropagationRecord

TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "\x1b[31m",
        "9" * 5000,
        "9999-12-31T23:59:59Z",
        "2026-01-01T00:00:00",
        "[" * 300,
        "Automatic",
        "Append",
        "-1",
        "NaN",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
POLICIES = (
    names.PROPAGATION,
    names.TRUST_MERGE,
    names.UPDATE_STRATEGY,
    names.UPDATE_REQUESTED_AT,
    names.REGISTRY_SCOPE,
    names.ALLOW_REMOVAL,
    PROVE_REQUESTED_AT,
)


def bodies() -> dict[str, Json]:
    """Return objects of cluster `a` by kind, with every field that Trustplane reads."""
    owner = {"apiVersion": "run.tanzu.vmware.com/v1alpha3", "kind": "TanzuKubernetesCluster", "name": "a", "uid": "u"}
    metadata = {"name": "a", "namespace": NAMESPACE, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    condition = {"type": "NodeReady", "status": "True", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    frozen = PropagationRecord(digest=trust().digest).to_annotations()
    machine = {**metadata, "name": "a-0", "labels": {"cluster.x-k8s.io/cluster-name": "a"}}
    return {
        "tkcs": {
            "metadata": {**metadata, "annotations": {}},
            "spec": {"topology": {"nodePools": [{"name": "np"}]}, "settings": {"network": {"trust": {}}}},
            "status": {"phase": "running", "conditions": [condition]},
        },
        "clusters": {
            "metadata": {**metadata, "annotations": frozen, "ownerReferences": [owner]},
            "spec": {"paused": False, "topology": {"version": "v1", "variables": [{"name": "trust", "value": {}}]}},
            "status": {"conditions": [{**condition, "type": "ControlPlaneInitialized"}]},
        },
        "machines": {
            "metadata": {**machine, "annotations": {}},
            "spec": {"bootstrap": {"configRef": {"kind": "KubeadmConfig", "name": "a-0"}}},
            "status": {"nodeRef": {"name": "n"}, "conditions": [condition], "addresses": [{"type": "InternalIP"}]},
        },
        "trusts": {
            "metadata": metadata,
            "status": {"inForce": {"digest": "x"}, "nodes": [{"name": "n"}], "conditions": [condition], "failures": []},
        },
    }


KINDS = {
    "tkcs": kinds.TANZU_CLUSTERS,
    "clusters": kinds.CLUSTERS,
    "machines": kinds.MACHINES,
    "trusts": kinds.CLUSTER_TRUSTS,
}


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, Json]:
    """Draw a kind, and an object of it with other content in some fields."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    body = copy.deepcopy(bodies()[kind])
    annotations = draw(st.dictionaries(st.sampled_from(POLICIES), TEXTS, max_size=3))
    body["metadata"]["annotations"] = {**body["metadata"].get("annotations", {}), **annotations}
    for _ in range(draw(st.integers(0, 2))):
        spoil(draw, body)
    return kind, body


def spoil(draw: st.DrawFn, body: Json) -> None:
    """Replace some field with arbitrary content, except for the object's name."""
    place: Any = body[draw(st.sampled_from([name for name in ("spec", "status", "metadata") if name in body]))]
    while True:
        keys = [each for each in place if each not in ("name", "namespace")] if isinstance(place, dict) else []
        index: Any = draw(st.sampled_from(keys)) if keys else 0 if isinstance(place, list) and place else None
        if index is None:
            return
        if not isinstance(place[index], dict | list) or not place[index] or draw(st.booleans()):
            place[index] = draw(VALUES)
            return
        place = place[index]


async def play(fleet: Fleet) -> None:
    indexed = Indexed(fleet)
    trusts = ClusterTrustReconciler(fleet.server, fleet.view, fleet.recorder)  # type: ignore[arg-type]
    for name in ("a", "b"):
        try:
            await indexed.index.reconcile(key(name))
            await trusts.reconcile(key(name))
        except Exception:
            assert name == "a"
            raise
    tally = await indexed.index.tally("one.corp.test")
    assert tally.trusting >= 2
    for status in fleet.statuses():
        if "provenNodes" in status:
            assert not list(violations(status, schema_of("ClusterTrust")))
            assert all(each["message"].isprintable() for each in status["conditions"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoilt())
def test_arbitrary_fields_do_not_affect_reports_on_other_clusters(drawn: tuple[str, Json]) -> None:
    kind, body = drawn
    fleet = Fleet("a", "b")
    try:
        fleet.put(KINDS[kind], getattr(fleet.view, kind), body)
    except UnreadableError:
        return  # ignored by informers
    asyncio.run(play(fleet))


@settings(max_examples=150, deadline=None)
@given(
    data=st.dictionaries(st.sampled_from(["corp.pem", "registry-scope", "x", "../y.pem"]), st.binary(max_size=200)),
    encoded=st.booleans(),
)
def test_arbitrary_set_secrets_do_not_affect_reports_on_other_clusters(
    data: dict[str, bytes], *, encoded: bool
) -> None:
    fleet = Fleet("a", "b")
    name = secret.set_secret_name("a", trust().digest)
    values = {
        each: base64.b64encode(value).decode() if encoded else value.decode("latin-1") for each, value in data.items()
    }
    labels = {"cluster.x-k8s.io/cluster-name": "a", "trustplane.dev/component": "trust"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    fleet.put(kinds.SECRETS, fleet.view.secrets, {"metadata": metadata, "data": values})
    asyncio.run(play(fleet))
