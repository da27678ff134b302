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
    body = probe.build_probe_pod("node-1", HOST, "n1", now=NOW)
    statuses = [] if state is None else [{"name": "probe", "state": state}]
    return msgspec.convert(body | {"status": {"containerStatuses": statuses} | status}, ProbePod)


def waiting(reason: str, message: str = "") -> ProbePod:
    return pod({"waiting": {"reason": reason, "message": message}})


def event(reason: str, note: str) -> ProbeEvent:
    return ProbeEvent(reason=reason, note=note)


def test_the_pod_requests_a_nonexistent_image_from_one_nodes_kubelet() -> None:
    body = probe.build_probe_pod("node-1", HOST, "n1", now=NOW)
    assert body["spec"]["nodeName"] == "node-1"
    assert body["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert body["spec"]["containers"][0]["image"] == IMAGE
    assert body["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert "imagePullSecrets" not in body["spec"]


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
    body = probe.build_probe_pod("node-1", HOST, "n1", image=f"{HOST}/team/app:1", pull_secret="pull")
    assert body["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert body["spec"]["containers"][0]["image"] == f"{HOST}/team/app:1"
    assert body["spec"]["containers"][0]["command"] == ["/trustplane-runs-nothing"]


@given(st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_pod_expires_some_time_after_its_run(later: timedelta) -> None:
    body = probe.build_probe_pod("node-1", HOST, "n1", timeout=60, now=NOW)
    assert probe.has_expired(body["metadata"]["annotations"][probe.EXPIRES_AT], NOW + later) == (
        later >= timedelta(seconds=120)
    )


@pytest.mark.parametrize("annotations", [{}, {probe.EXPIRES_AT: "soon"}, {probe.EXPIRES_AT: "2026-11-23T12:00:00"}])
def test_a_pod_without_a_readable_time_has_expired(annotations: dict[str, str]) -> None:
    decoded = PROBE_PODS.decode(msgspec.json.encode({"metadata": {"annotations": annotations}}))
    assert decoded.metadata.annotations.expires_at == annotations.get(probe.EXPIRES_AT, "")
    assert probe.has_expired(decoded.metadata.annotations.expires_at, NOW)


@pytest.mark.parametrize("state", [pod(), pod(phase="Pending"), waiting("ContainerCreating"), pod({})])
def test_before_the_pull_no_verdict_exists(state: ProbePod) -> None:
    assert probe.probe_verdict(state) is None


def test_the_kubelets_message_in_the_containers_state_decides() -> None:
    refused = NotTrusted(RefusalReason.UNKNOWN_AUTHORITY, "x509: certificate signed by unknown authority", HOST)
    assert probe.probe_verdict(waiting("ErrImagePull", X509)) == refused
    assert (
        probe.probe_verdict(waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {X509}'))
        == refused
    )
    assert probe.probe_verdict(waiting("ErrImagePull", NOT_FOUND)) == Trusted()
    message = f'RegistryUnavailable: pinging container registry {HOST}: Get "https://{HOST}/v2/": EOF'
    assert probe.probe_verdict(waiting("RegistryUnavailable", message)) == Unreachable("EOF")


def test_a_message_without_the_image_is_still_about_it() -> None:
    message = "reading blob sha256:6175: Error fetching blob: invalid status code from registry 404 (Not Found)"
    assert probe.probe_verdict(waiting("ErrImagePull", message)) == Trusted(second_host="a second host")


def test_an_image_pulled_from_localhost_proves_nothing() -> None:
    pulled = pod({"running": {}})
    pulled.spec.containers[0].image = "localhost:5000/app:1"
    assert isinstance(probe.probe_verdict(pulled), Unclear)


def test_a_back_off_alone_proves_nothing_and_the_last_event_decides() -> None:
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
def test_states_after_the_pull_prove_its_success(state: ProbePod) -> None:
    assert probe.probe_verdict(state) == Trusted(pulled=True)


def test_an_event_of_a_pull_counts_and_one_of_a_present_image_does_not() -> None:
    assert probe.probe_verdict(pod(), [event("Pulled", f'Successfully pulled image "{IMAGE}" in 1s')]) == Trusted(
        pulled=True
    )
    present = event("Pulled", f'Container image "{IMAGE}" already present on machine')
    assert probe.probe_verdict(pod(), [present]) is None


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


def test_decoded_probes_and_events_are_bounded() -> None:
    long, other = "x" * 4_000_000, {"name": "other", "state": {"waiting": {"reason": "x", "message": "x" * 1000}}}
    own = {"name": "probe", "state": {"waiting": {"reason": "ErrImagePull", "message": long}}}
    status = {"phase": long, "message": long, "containerStatuses": [other] * 1000 + [own] * 2}
    spec = {"containers": [{"image": long}] * 2, "volumes": [{"name": long}]}
    labels = {"labels": {long: long}, "annotations": {long: long, probe.EXPIRES_AT: long}, "name": long}
    decoded = PROBE_PODS.decode(msgspec.json.encode({"metadata": labels, "spec": spec, "status": status}))
    assert decoded.state.waiting
    assert len(msgspec.json.encode(decoded)) < 32_768
    event = PROBE_EVENTS.decode(msgspec.json.encode({"note": long, "reason": long, "eventTime": long, "x": long}))
    assert len(msgspec.json.encode(event)) < 16_384


def test_the_time_of_an_event_is_its_last_occurrence() -> None:
    times = {"eventTime": None, "deprecatedLastTimestamp": "2026-11-23T12:00:00Z"}
    assert msgspec.convert(times, ProbeEvent).last_seen_at == "2026-11-23T12:00:00Z"
    series = {"series": {"lastObservedTime": "2026-11-23T13:00:00.000000Z"}}
    assert msgspec.convert(times | series, ProbeEvent).last_seen_at == "2026-11-23T13:00:00.000000Z"
