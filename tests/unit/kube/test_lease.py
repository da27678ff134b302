from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube.lease import Observation, observe


def lease(version: str, holder: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}


@given(st.floats(0, 1000), st.floats(0, 100))
def test_a_silent_holder_keeps_the_lease_for_its_duration(start: float, later: float) -> None:
    observation = observe(lease("1", "other"), None, start)
    observation = observe(lease("1", "other"), observation, start + later)
    assert observation.is_available_to("me", start + later) == (start + later > start + 15)


def test_a_renewal_restarts_the_wait() -> None:
    observation = observe(lease("2", "other"), observe(lease("1", "other"), None, 0), 14)
    assert observation.since == 14
    assert not observation.is_available_to("me", 28)


def test_an_unheld_lease_and_the_own_lease_are_available() -> None:
    assert Observation("1", "", 15, 0).is_available_to("me", 0)
    assert Observation("1", "me", 15, 0).is_available_to("me", 0)
    assert observe({"metadata": {"resourceVersion": "1"}, "spec": {}}, None, 0).is_available_to("me", 0)
