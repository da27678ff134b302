from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.meta import Metadata, Object
from trustplane.kube.informer import Change, ListResult, differences
from trustplane.kube.resource import Key

KEYS = st.builds(Key, st.sampled_from(["", "x"]), st.sampled_from("abcd"))


def obj(key: Key, uid: int, version: int) -> Object:
    return Object(
        metadata=Metadata(name=key.name, namespace=key.namespace, uid=str(uid), resource_version=str(version))
    )


@st.composite
def lists(draw: st.DrawFn) -> dict[Key, Object]:
    versions = draw(st.dictionaries(KEYS, st.tuples(st.integers(1, 2), st.integers(1, 2))))
    return {key: obj(key, uid, version) for key, (uid, version) in versions.items()}


@given(lists(), lists(), st.sets(KEYS))
def test_applying_the_differences_to_the_known_state_yields_the_list(
    known: dict[Key, Object], listed: dict[Key, Object], unreadable: set[Key]
) -> None:
    unreadable -= listed.keys()
    state = dict(known)
    for change in differences(known, ListResult(listed, dict.fromkeys(unreadable, ""))):
        assert state.get(change.key) == change.old
        assert change.old != change.new
        if change.new is None:
            del state[change.key]
        else:
            assert change.old is None or change.old.metadata.uid == change.new.metadata.uid
            state[change.key] = change.new
    kept = {key: obj for key, obj in known.items() if key in unreadable}
    assert state == listed | kept


def test_the_same_list_makes_no_difference() -> None:
    known = {Key("x", "a"): obj(Key("x", "a"), 1, 1)}
    assert differences(known, ListResult(known, {})) == []


def test_a_successor_with_the_same_name_is_a_deletion_and_a_creation() -> None:
    key = Key("x", "a")
    old, new = obj(key, 1, 1), obj(key, 2, 2)
    assert differences({key: old}, ListResult({key: new}, {})) == [Change(key, old, None), Change(key, None, new)]


def test_untyped_objects() -> None:
    key = Key("x", "a")
    old = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "1"}}
    new = {"metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}}
    assert differences({key: old}, ListResult({key: new}, {})) == [Change(key, old, new)]
