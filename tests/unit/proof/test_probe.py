from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.proof import probe
from trustplane.proof.reports import PROBE_EVENTS, PROBE_PODS, ProbeEvent, ProbePod
from trustplane.proof.verdict import NotTrusted, RefusalReason, Trusted, Unclear, Unreachable

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOST = "registry.corp.test:5000"
IMAGE = f"{HOST}/trustplane/probe:n1"
X509 = f'failed to do request: Head "https://{HOST}/v2/x/manifests/n1": x509: certificate signed by unknown authority'
NOT_FOUND = f'failed to pull and unpack image "{IMAGE}": failed to resolve image: {IMAGE}: not found'


def pod(state: dict[str, Any] | None = None, **status: Any) -> ProbePod:
    made = probe.build_probe_pod("node-1", HOST, "n1", now=NOW)
    statuses = [] if state is None else [{"name": "probe", "state": state}]
    return msgspec.convert(made | {"status": {"containerStatuses": statuses} | status}, ProbePod)


def waiting(reason: str, message: str = "") -> ProbePod:
    return pod({"waiting": {"reason": reason, "message": message}})


def event(reason: str, note: str) -> ProbeEvent:
    return ProbeEvent(reason=reason, note=note)


def test_the_pod_asks_one_nodes_kubelet_for_an_image_that_is_not_there() -> None:
    made = probe.build_probe_pod("node-1", HOST, "n1", now=NOW)
    assert made["spec"]["nodeName"] == "node-1"
    assert made["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert made["spec"]["containers"][0]["image"] == IMAGE
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert "imagePullSecrets" not in made["spec"]


def test_the_pod_meets_the_restricted_standard_and_has_no_token() -> None:
    spec = probe.build_probe_pod("node-1", HOST, "n1")["spec"]
    context = spec["containers"][0]["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & spec.keys()
    assert spec["automountServiceAccountToken"] is False


def test_a_real_image_is_pulled_with_its_secret_and_not_run() -> None:
    made = probe.build_probe_pod("node-1", HOST, "n1", image=f"{HOST}/team/app:1", pull_secret="pull")
    assert made["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert made["spec"]["containers"][0]["image"] == f"{HOST}/team/app:1"
    assert made["spec"]["containers"][0]["command"] == ["/trustplane-runs-nothing"]


@given(st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_pod_expires_some_time_after_its_run(later: timedelta) -> None:
    made = probe.build_probe_pod("node-1", HOST, "n1", timeout=60, now=NOW)
    assert probe.has_expired(made["metadata"]["annotations"][probe.EXPIRES_AT], NOW + later) == (
        later >= timedelta(seconds=120)
    )


@pytest.mark.parametrize("annotations", [{}, {probe.EXPIRES_AT: "soon"}, {probe.EXPIRES_AT: "2026-11-23T12:00:00"}])
def test_a_pod_without_a_readable_time_has_expired(annotations: dict[str, str]) -> None:
    found = PROBE_PODS.decode(msgspec.json.encode({"metadata": {"annotations": annotations}}))
    assert found.metadata.annotations.expires_at == annotations.get(probe.EXPIRES_AT, "")
    assert probe.has_expired(found.metadata.annotations.expires_at, NOW)


@pytest.mark.parametrize("state", [pod(), pod(phase="Pending"), waiting("ContainerCreating"), pod({})])
def test_before_the_pull_there_is_no_verdict(state: ProbePod) -> None:
    assert probe.probe_verdict(state) is None


def test_the_kubelets_words_in_the_containers_state_decide() -> None:
    refused = NotTrusted(RefusalReason.UNKNOWN_AUTHORITY, "x509: certificate signed by unknown authority", HOST)
    assert probe.probe_verdict(waiting("ErrImagePull", X509)) == refused
    assert (
        probe.probe_verdict(waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {X509}'))
        == refused
    )
    assert probe.probe_verdict(waiting("ErrImagePull", NOT_FOUND)) == Trusted()
    words = f'RegistryUnavailable: pinging container registry {HOST}: Get "https://{HOST}/v2/": EOF'
    assert probe.probe_verdict(waiting("RegistryUnavailable", words)) == Unreachable("EOF")


def test_words_that_do_not_name_the_image_are_about_it_all_the_same() -> None:
    words = "reading blob sha256:6175: Error fetching blob: invalid status code from registry 404 (Not Found)"
    assert probe.probe_verdict(waiting("ErrImagePull", words)) == Trusted(second_host="a second host")


def test_an_image_of_localhost_that_was_pulled_proves_nothing() -> None:
    there = pod({"running": {}})
    there.spec.containers[0].image = "localhost:5000/app:1"
    assert isinstance(probe.probe_verdict(there), Unclear)


def test_a_back_off_alone_says_nothing_and_the_last_event_decides() -> None:
    backing_off = waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')
    events = [
        event("Failed", f'Failed to pull image "{IMAGE}": {X509}'),
        event("Failed", "Error: ErrImagePull"),
        event("Failed", f'Failed to pull image "{IMAGE}": {NOT_FOUND}'),
        event("BackOff", f'Back-off pulling image "{IMAGE}"'),
        event("Failed", "Error: ImagePullBackOff"),
    ]
    assert probe.probe_verdict(backing_off) is None
    assert probe.has_failed_pull(backing_off)
    assert probe.probe_verdict(backing_off, events) == Trusted()
    assert isinstance(probe.probe_verdict(backing_off, events[:2]), NotTrusted)


@pytest.mark.parametrize(
    "state",
    [
        pod({"running": {}}),
        pod({"terminated": {"reason": "StartError", "exitCode": 128}}),
        pod({"terminated": {"reason": "ContainerCannotRun", "exitCode": 127}}),
        waiting("CreateContainerError", "no such file"),
        waiting("RunContainerError"),
    ],
)
def test_what_comes_after_the_pull_shows_that_it_worked(state: ProbePod) -> None:
    assert probe.probe_verdict(state) == Trusted(pulled=True)


def test_an_event_of_a_real_pull_counts_and_one_of_an_image_that_was_there_does_not() -> None:
    assert probe.probe_verdict(pod(), [event("Pulled", f'Successfully pulled image "{IMAGE}" in 1s')]) == Trusted(
        pulled=True
    )
    there = event("Pulled", f'Container image "{IMAGE}" already present on machine')
    assert probe.probe_verdict(pod(), [there]) is None


@pytest.mark.parametrize(
    "state",
    [
        pod(phase="Failed", reason="OutOfpods", message="Node didn't have enough resource: pods"),
        pod({"terminated": {"reason": "ContainerStatusUnknown", "exitCode": 137}}, phase="Failed", reason="Evicted"),
        waiting("InvalidImageName", "couldn't parse image name"),
    ],
)
def test_a_probe_that_ends_without_a_pull_is_unclear(state: ProbePod) -> None:
    assert isinstance(probe.probe_verdict(state), Unclear)


def test_what_is_kept_of_a_probe_and_its_events_is_bounded() -> None:
    long, other = "x" * 4_000_000, {"name": "other", "state": {"waiting": {"reason": "x", "message": "x" * 1000}}}
    own = {"name": "probe", "state": {"waiting": {"reason": "ErrImagePull", "message": long}}}
    status = {"phase": long, "message": long, "containerStatuses": [other] * 1000 + [own] * 2}
    spec = {"containers": [{"image": long}] * 2, "volumes": [{"name": long}]}
    labels = {"labels": {long: long}, "annotations": {long: long, probe.EXPIRES_AT: long}, "name": long}
    found = PROBE_PODS.decode(msgspec.json.encode({"metadata": labels, "spec": spec, "status": status}))
    assert found.state.waiting
    assert len(msgspec.json.encode(found)) < 32_768
    said = PROBE_EVENTS.decode(msgspec.json.encode({"note": long, "reason": long, "eventTime": long, "x": long}))
    assert len(msgspec.json.encode(said)) < 16_384


def test_the_time_of_an_event_is_the_last_one() -> None:
    times = {"eventTime": None, "deprecatedLastTimestamp": "2026-11-23T12:00:00Z"}
    assert msgspec.convert(times, ProbeEvent).last_seen_at == "2026-11-23T12:00:00Z"
    series = {"series": {"lastObservedTime": "2026-11-23T13:00:00.000000Z"}}
    assert msgspec.convert(times | series, ProbeEvent).last_seen_at == "2026-11-23T13:00:00.000000Z"
