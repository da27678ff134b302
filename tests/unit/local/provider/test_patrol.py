from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.keys import Key
from trustplane_local.podman import ObservedContainer
from trustplane_local.provider import patrol


def container(name: str, *, role: str = "machine", state: str = "running", id_: str = "1") -> ObservedContainer:
    labels = {"trustplane.dev/role": role, "trustplane.dev/namespace": "a", "trustplane.dev/name": name}
    return ObservedContainer(id=id_, names=[f"{role}_{name}"], state=state, labels=labels)


CONTAINERS = st.lists(
    st.builds(
        container,
        st.sampled_from("abc"),
        role=st.sampled_from(["machine", "load-balancer", "registry"]),
        state=st.sampled_from(["running", "exited", "stopping"]),
        id_=st.sampled_from("12"),
    ),
    unique_by=lambda one: one.name,
)


def test_what_is_new_gone_stopped_or_replaced_has_changed() -> None:
    before = patrol.container_states(
        [container("same"), container("gone"), container("stopped"), container("replaced")]
    )
    now = patrol.container_states(
        [container("same"), container("new"), container("stopped", state="exited"), container("replaced", id_="2")]
    )
    names = [key.name for _, key in patrol.changed_containers(before, now)]
    assert names == ["gone", "new", "replaced", "stopped"]


@given(CONTAINERS)
def test_nothing_changes_between_equal_looks(containers: list[ObservedContainer]) -> None:
    assert patrol.changed_containers(patrol.container_states(containers), patrol.container_states(containers)) == []


@given(CONTAINERS, st.sets(st.builds(Key, st.just("a"), st.sampled_from("abc"))))
def test_only_containers_of_the_role_without_an_object_are_orphans(
    containers: list[ObservedContainer], wanted: set[Key]
) -> None:
    orphans = patrol.orphaned_containers(containers, "machine", wanted)
    assert all(name.startswith("machine_") for name in orphans)
    kept = [one for one in containers if one.name not in orphans and one.name.startswith("machine_")]
    assert {patrol.object_key(one) for one in kept} <= wanted


def test_a_container_without_labels_is_nobodys() -> None:
    assert patrol.orphaned_containers([ObservedContainer(id="1", names=["x"], state="running")], "machine", set()) == []
