"""The effects on pods, from changes as a watch brings them."""

from typing import Any

from trustplane.local.bench.pods import Felt, has_ended, is_ready, pull_failure, pulling_pod

Json = dict[str, Any]


def pod(*restarts: int, ready: bool = True, waiting: str = "", phase: str = "Running", **metadata: Any) -> Json:
    state = {"waiting": {"reason": waiting, "message": f"{waiting}: because"}} if waiting else {"running": {}}
    return {
        "metadata": {"name": "pod", "namespace": "default", **metadata},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"restartCount": count, "state": state} for count in restarts],
        },
    }


def test_restarts_count_from_when_a_pod_was_first_seen() -> None:
    felt = Felt()
    felt.count(None, pod(3, 1))
    felt.count(pod(3, 1), pod(4, 1))
    felt.count(pod(4, 1), pod(4, 3))
    assert (felt.restarts, felt.ended) == (3, 0)


def test_a_pod_that_is_gone_has_ended() -> None:
    felt = Felt()
    felt.count(pod(0), None)
    assert (felt.restarts, felt.ended) == (0, 1)


def test_a_pod_that_has_no_status_yet_is_neither_ready_nor_failed() -> None:
    empty: Json = {"metadata": {"name": "pod", "namespace": "default"}}
    assert not is_ready(empty)
    assert not pull_failure(empty)
    assert not has_ended(empty)


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    assert is_ready(pod(0))
    assert not is_ready(pod(0, deletionTimestamp="2026-01-01T00:00:00Z"))


def test_any_report_of_a_failed_pull_counts() -> None:
    assert pull_failure(pod(0, waiting="ErrImagePull")) == "ErrImagePull: because"
    assert pull_failure(pod(0, waiting="ImagePullBackOff"))
    assert not pull_failure(pod(0, waiting="ContainerCreating"))
    assert not pull_failure(pod(0))


def test_the_pod_that_pulls_asks_the_registry_whatever_the_node_has() -> None:
    spec = pulling_pod("name", "node", "registry.test/app:1", "secret")["spec"]
    (container,) = spec["containers"]
    assert container["imagePullPolicy"] == "Always"
    assert spec["nodeName"] == "node"
    assert has_ended(pod(0, phase="Succeeded"))
