"""When pools have our strategy: while nothing but trust changes, and at no other time."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import IN_PLACE_REFUSED, ROLLOUT, UPDATE_IN_PROGRESS, UPDATE_STRATEGY
from trustplane.api.clusterapi import (
    Bootstrap,
    Cluster,
    ClusterSpec,
    ClusterStatus,
    ConfigReference,
    ControlPlaneTopology,
    File,
    FileSource,
    KubeadmConfig,
    KubeadmConfigSpec,
    KubeadmControlPlane,
    KubeadmControlPlaneSpec,
    KubeadmControlPlaneStatus,
    Machine,
    MachineDeployment,
    MachineDeploymentSpec,
    MachineDeploymentStatus,
    MachineSpec,
    MachineStatus,
    NodeReference,
    Overrides,
    SecretFileSource,
    Topology,
    Variable,
)
from trustplane.api.meta import Condition, Metadata
from trustplane.clusterapi.readiness import Observed
from trustplane.clusterapi.rollout import are_updated, held_trust, is_ours, is_replace, rollout
from trustplane.trust.entries import EMPTY, Difference
from trustplane.trust.policy import IN_PLACE, REPLACE
from trustplane.trust.propagation import Decision, Frozen

UPDATES = {"1/version": "a", "1/pool/np": "b"}
BEFORE = Frozen(digest="old", update_digests=UPDATES)


def decision(*, taken: bool = True, digest: str = "new", **updates: str) -> Decision:
    return Decision(
        trust=EMPTY,
        frozen=replace(BEFORE, digest=digest, update_digests=updates or UPDATES),
        taken=taken,
        reason="Requested",
        current=True,
        difference=Difference(),
    )


def seen(found: Cluster | None, *, is_rolled_out: bool) -> Observed:
    """Three machines in a pool: all as they should be, or one to be updated yet."""
    reconciled = Condition(type="TopologyReconciled", status="True")
    if found is not None:
        found = msgspec.structs.replace(found, status=ClusterStatus(conditions=[reconciled]))
    status = MachineDeploymentStatus(replicas=3, up_to_date_replicas=3 if is_rolled_out else 2)
    return Observed(
        cluster=found,
        control_plane=KubeadmControlPlane(
            spec=KubeadmControlPlaneSpec(replicas=1),
            status=KubeadmControlPlaneStatus(replicas=1, up_to_date_replicas=1),
        ),
        machine_deployments=[MachineDeployment(spec=MachineDeploymentSpec(replicas=3), status=status)],
    )


def cluster(frozen: Frozen = BEFORE, **annotations: str) -> Cluster:
    names = {"rollout": ROLLOUT, "refused": IN_PLACE_REFUSED}
    values = frozen.annotations() | {names[name]: value for name, value in annotations.items()}
    return Cluster(metadata=Metadata(annotations=values))


def test_a_change_of_trust_alone_is_rolled_in_place() -> None:
    assert rollout(decision(), IN_PLACE, seen(cluster(), is_rolled_out=True)) == IN_PLACE


def test_so_it_stays_until_every_machine_has_it() -> None:
    under_way = cluster(replace(BEFORE, digest="new"), rollout=IN_PLACE)
    assert rollout(decision(taken=False), IN_PLACE, seen(under_way, is_rolled_out=False)) == IN_PLACE
    assert rollout(decision(taken=False), IN_PLACE, seen(under_way, is_rolled_out=True)) == ""


def test_a_second_change_on_top_is_in_place_too() -> None:
    under_way = cluster(rollout=IN_PLACE)
    assert rollout(decision(), IN_PLACE, seen(under_way, is_rolled_out=False)) == IN_PLACE


@pytest.mark.parametrize("marker", [{}, {"rollout": IN_PLACE}])
def test_another_update_in_the_same_roll_has_the_users_strategy(marker: dict[str, str]) -> None:
    changed = decision(**{"1/version": "c", "1/pool/np": "b"})
    assert rollout(changed, IN_PLACE, seen(cluster(**marker), is_rolled_out=True)) == ""


def test_a_change_on_top_of_another_update_does_not_change_its_strategy() -> None:
    assert rollout(decision(), IN_PLACE, seen(cluster(), is_rolled_out=False)) == ""


def test_what_the_extension_refused_is_replaced_under_the_users_strategy() -> None:
    refused = cluster(replace(BEFORE, digest="new"), rollout=IN_PLACE, refused="new")
    assert rollout(decision(taken=False), IN_PLACE, seen(refused, is_rolled_out=False)) == ""
    assert rollout(decision(digest="newer"), IN_PLACE, seen(cluster(refused="new"), is_rolled_out=True)) == IN_PLACE


def test_a_new_cluster_and_one_of_somebody_else_have_no_strategy_of_ours() -> None:
    assert rollout(decision(), IN_PLACE, seen(None, is_rolled_out=False)) == ""
    assert rollout(decision(), IN_PLACE, seen(Cluster(), is_rolled_out=True)) == ""


@given(taken=st.booleans(), is_rolled_out=st.booleans(), marker=st.sampled_from([{}, {"rollout": IN_PLACE}]))
def test_replace_is_replace(marker: dict[str, str], *, taken: bool, is_rolled_out: bool) -> None:
    found = rollout(decision(taken=taken), REPLACE, seen(cluster(**marker), is_rolled_out=is_rolled_out))
    assert found == REPLACE
    assert is_replace({ROLLOUT: found})


def test_a_cluster_of_ours_says_what_was_decided_and_another_what_its_owner_wants() -> None:
    assert is_replace({UPDATE_STRATEGY: REPLACE})
    assert not is_replace({ROLLOUT: IN_PLACE, UPDATE_STRATEGY: REPLACE})
    assert not is_replace({})


def test_a_machine_set_under_our_strategy_is_known_by_its_annotation() -> None:
    assert is_ours({"metadata": {"annotations": {ROLLOUT: IN_PLACE}}})
    assert not is_ours({"metadata": {}})
    assert not is_ours({})


def test_a_strategy_that_was_dropped_just_now_is_no_other_update() -> None:
    observed = seen(cluster(), is_rolled_out=True)
    assert observed.cluster
    observed.cluster.metadata.generation = 2  # Cluster API has seen generation 0
    assert rollout(decision(), IN_PLACE, observed) == IN_PLACE


OLD_TRUST = {"secretName": "c1-trust-old", "additionalTrustedCAs": [{"name": "corp"}]}


def having(trust: object = None, held: object = None) -> Cluster:
    variables = [Variable(name="trust", value=trust)] if trust else []
    overrides = [Variable(name="trust", value=held)] if held else []
    topology = Topology(
        variables=variables, control_plane=ControlPlaneTopology(variables=Overrides(overrides=overrides))
    )
    return msgspec.structs.replace(cluster(rollout=IN_PLACE), spec=ClusterSpec(topology=topology))


def held(taken: Decision, how: str, before: Cluster | None, *, replicas: int = 1, done: bool = False) -> object:
    return held_trust(taken, how, before, replicas=replicas, may_change=done)


@pytest.mark.parametrize(("before", "value"), [(OLD_TRUST, OLD_TRUST), (None, {"additionalTrustedCAs": []})])
def test_a_small_control_plane_keeps_its_set_for_now(before: object, value: object) -> None:
    assert held(decision(), IN_PLACE, having(before)) == value


def test_it_keeps_it_until_the_pools_are_done_and_it_is_paused() -> None:
    now = having({"secretName": "c1-trust-newer", "additionalTrustedCAs": []}, OLD_TRUST)
    assert held(decision(taken=False), IN_PLACE, now) == OLD_TRUST
    assert held(decision(), IN_PLACE, now, done=True) == OLD_TRUST
    assert held(decision(taken=False), IN_PLACE, now, done=True) is None
    # Until then not every machine is as it should be, so that the strategy stays.
    assert rollout(decision(taken=False), IN_PLACE, seen(now, is_rolled_out=True)) == IN_PLACE


def test_nothing_is_held_where_the_control_plane_is_updated_in_place_or_everything_is_replaced() -> None:
    now = having(OLD_TRUST)
    assert held(decision(), IN_PLACE, now, replicas=3) is None
    assert held(decision(), REPLACE, now) is None
    assert held(decision(), "", now) is None
    assert held(decision(taken=False), IN_PLACE, now) is None


def worker(name: str, *, updating: bool = False, labels: bool = True) -> Machine:
    reference = ConfigReference(kind="KubeadmConfig", name=name)
    metadata = Metadata(
        name=name,
        labels={"topology.cluster.x-k8s.io/deployment-name": "np"} if labels else {},
        annotations={UPDATE_IN_PROGRESS: ""} if updating else {},
    )
    return Machine(metadata=metadata, spec=MachineSpec(bootstrap=Bootstrap(config_ref=reference)))


def off(machine: Machine) -> Machine:
    """Return a machine whose kubelet does not report."""
    unknown = [Condition(type="NodeReady", status="Unknown", message="Kubelet stopped posting node status.")]
    status = MachineStatus(node_ref=NodeReference(name=machine.metadata.name), conditions=unknown)
    return msgspec.structs.replace(machine, status=status)


def config(name: str, *secrets: str, path: str = "/etc/ssl/certs/tkg-a.pem") -> KubeadmConfig:
    files = [File(path=path, content_from=FileSource(secret=SecretFileSource(name=one))) for one in secrets]
    return KubeadmConfig(metadata=Metadata(name=name), spec=KubeadmConfigSpec(files=files))


def test_workers_are_updated_when_none_is_under_way_and_each_has_the_set() -> None:
    control_plane = worker("cp", labels=False)
    assert are_updated([worker("a"), control_plane], [config("a", "new"), config("cp", "old")], "new")
    assert are_updated([worker("a")], [config("a")], "")
    assert not are_updated([worker("a", updating=True)], [config("a", "new")], "new")
    assert are_updated([worker("a")], [config("a", "new", path="/etc/containerd/certs.d/r.test/tkg-x.pem")], "new")
    assert not are_updated([worker("a"), worker("b")], [config("a", "new"), config("b", "old")], "new")
    assert not are_updated([worker("a")], [], "new")
    assert not are_updated([worker("a")], [config("a", "old")], "")


def test_a_worker_that_is_off_keeps_nobody_waiting_unless_all_are() -> None:
    configs = [config("a", "new"), config("b", "new")]
    assert are_updated([worker("a"), off(worker("b", updating=True))], configs, "new")
    assert not are_updated([worker("a", updating=True), off(worker("b"))], configs, "new")
    assert not are_updated([off(worker("a", updating=True)), off(worker("b"))], configs, "new")
