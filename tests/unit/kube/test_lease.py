from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube.lease import Sighting, sight


def lease(version: str, holder: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}


@given(st.floats(0, 1000), st.floats(0, 100))
def test_a_silent_holder_is_respected_for_the_lease_s_duration(seen: float, later: float) -> None:
    sighting = sight(lease("1", "other"), None, seen)
    sighting = sight(lease("1", "other"), sighting, seen + later)
    assert sighting.free("me", seen + later) == (seen + later > seen + 15)


def test_a_renewal_starts_the_wait_anew() -> None:
    sighting = sight(lease("2", "other"), sight(lease("1", "other"), None, 0), 14)
    assert sighting.since == 14
    assert not sighting.free("me", 28)


def test_nobody_s_lease_and_one_s_own_are_free() -> None:
    assert Sighting("1", "", 15, 0).free("me", 0)
    assert Sighting("1", "me", 15, 0).free("me", 0)
    assert sight({"metadata": {"resourceVersion": "1"}, "spec": {}}, None, 0).free("me", 0)
