from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import MAX_FAILURES, ClusterTrust, ClusterTrustStatus, PullFailure
from trustplane.api.meta import Metadata
from trustplane.api.pod import PodMetadata
from trustplane.api.registry import Registry, RegistrySpec
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Evidence, explain
from trustplane.reporting.pull_failures import (
    MAX_NOTE_BYTES,
    FailingPull,
    PullFailureGroups,
    build_pull_event,
    pull_event_name,
    registry_failures,
    render_note,
)
from trustplane.reporting.registry_assessment import RegistryAssessment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST = "harbor.corp:5000"
UNTRUSTED = (
    f'ErrImagePull: failed to pull and unpack image "{HOST}/app:1": failed to resolve reference "{HOST}/app:1": failed '
    f'to do request: Head "https://{HOST}/v2/app/manifests/1": tls: failed to verify certificate: x509: certificate '
    "signed by unknown authority"
)
FOUND = st.lists(
    st.builds(
        FailingPull,
        pod=st.integers(0, 30).map(lambda n: f"shop/web-{n}"),
        host=st.integers(0, 12).map(lambda n: f"r{n}.corp"),
        cause=st.sampled_from(Code),
    ),
    max_size=120,
)


def failures(pulls: list[FailingPull], before: list[PullFailure], now: datetime) -> tuple[list[PullFailure], int]:
    counted = PullFailureGroups()
    for failing in pulls:
        counted.add(failing)
    return counted.report(before, now)


def test_pods_are_counted_by_registry_and_cause_largest_first() -> None:
    pulls = [
        FailingPull("shop/b", HOST, Code.ISSUER_NOT_TRUSTED),
        FailingPull("shop/a", HOST, Code.ISSUER_NOT_TRUSTED),
        FailingPull("shop/a", HOST, Code.ISSUER_NOT_TRUSTED),  # two containers of the pod
        FailingPull("shop/c", HOST, Code.DNS_FAILURE),
    ]
    listed, more = failures(pulls, [], NOW)
    assert [(failure.host, failure.cause, failure.pods, failure.example) for failure in listed] == [
        (HOST, "issuer-not-trusted", 2, "shop/a"),
        (HOST, "dns-failure", 1, "shop/c"),
    ]
    assert {failure.since for failure in listed} == {NOW}
    assert more == 0


def test_the_first_time_stays_and_the_last_changes_hourly() -> None:
    pulls = [FailingPull("shop/a", HOST, Code.DNS_FAILURE), FailingPull("shop/b", HOST, Code.DNS_FAILURE)]
    before, _ = failures(pulls[1:], [], NOW)
    soon, _ = failures(pulls, before, NOW + timedelta(minutes=59))
    assert (soon[0].since, soon[0].last_seen, soon[0].example) == (NOW, NOW, "shop/b")
    later, _ = failures(pulls, soon, NOW + timedelta(hours=1))
    assert (later[0].since, later[0].last_seen) == (NOW, NOW + timedelta(hours=1))


@given(FOUND)
def test_no_pod_is_lost_and_the_list_is_bounded(pulls: list[FailingPull]) -> None:
    listed, more = failures(pulls, [], NOW)
    assert len(listed) <= MAX_FAILURES
    groups = {(failing.host, str(failing.cause)): set[str]() for failing in pulls}
    for failing in pulls:
        groups[failing.host, str(failing.cause)].add(failing.pod)
    assert all(failure.pods == len(groups[failure.host, failure.cause]) for failure in listed)
    shown = {pod for failure in listed for pod in groups[failure.host, failure.cause]}
    assert len(shown) + more == len({failing.pod for failing in pulls})


@given(FOUND, st.randoms())
def test_the_same_failures_in_any_order_change_nothing(pulls: list[FailingPull], random: st.DataObject) -> None:
    listed, more = failures(pulls, [], NOW)
    again = list(pulls)
    random.shuffle(again)  # type: ignore[attr-defined]
    assert failures(again, listed, NOW + timedelta(minutes=5)) == (listed, more)


def test_a_registry_lists_failing_clusters() -> None:
    def trust(name: str, *of: PullFailure) -> ClusterTrust:
        return ClusterTrust(
            metadata=Metadata(namespace="shop", name=name), status=ClusterTrustStatus(failures=list(of))
        )

    ours = PullFailure(host="harbor.corp", cause="dns-failure", pods=2, since=NOW, last_seen=NOW, example="a/b")
    other = PullFailure(host="quay.io", cause="dns-failure", pods=9)
    registry = Registry(spec=RegistrySpec(host="Harbor.corp:443"))
    pulls = registry_failures(registry, [trust("one", ours, other), trust("two", other)])
    assert [(failure.cluster, failure.cause, failure.pods, failure.since) for failure in pulls] == [
        ("shop/one", "dns-failure", 2, NOW)
    ]


def test_a_note_has_cause_evidence_actor_step_and_ca() -> None:
    stale = Evidence(
        "management cluster", "set 0123456789, in force, trusts it", points_to=frozenset({Code.RUNTIME_STALE})
    )
    text = render_note(
        HOST,
        explain(UNTRUSTED, [stale]),
        RegistryAssessment((stale,), "The CA is already in force: entry corp, SHA-256 ab"),
    )
    assert text.startswith(
        f"{HOST}: the runtime started before the CA file was written, and does not use it (runtime-stale, "
        "high confidence)."
    )
    assert "Set 0123456789, in force, trusts it." in text
    assert "For the cluster owner: on the node: systemctl restart containerd" in text
    assert text.endswith("The CA is already in force: entry corp, SHA-256 ab.")


def test_a_note_about_another_cause_names_no_ca() -> None:
    message = f'ErrImagePull: failed to pull and unpack image "{HOST}/app:1": {HOST}/app:1: not pulls'
    assert "SHA-256" not in render_note(HOST, explain(message), RegistryAssessment(remedy="SHA-256 ab"))


def test_a_note_about_interception_names_the_ca_of_a_served_chain_only() -> None:
    """An unknown CA is the interceptor's: a Registry for the public host would not name it."""
    words = 'Get "https://registry-1.docker.io/v2/": tls: failed to verify certificate: '
    explanation = explain(f"{words}x509: certificate signed by unknown authority")
    assert explanation.codes[0] is Code.TLS_INTERCEPTED
    served = RegistryAssessment(remedy="The fingerprint of the CA is unknown; its name is CN=Proxy", is_trusted=False)
    assert render_note("docker.io", explanation, served).endswith("its name is CN=Proxy.")
    unknown = RegistryAssessment(remedy="The CA of docker.io is unknown: create a Registry for it")
    assert "create a Registry" not in render_note("docker.io", explanation, unknown)


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_the_length_of_a_note_is_limited(message: str, remedy: str) -> None:
    assert len(render_note(HOST, explain(message), RegistryAssessment(remedy=remedy)).encode()) <= MAX_NOTE_BYTES


def test_a_note_quotes_no_credentials() -> None:
    message = UNTRUSTED.replace("https://", "https://robot:hunter2-secret@") + " Authorization: Bearer abcdefghijklmnop"
    text = render_note(HOST, explain(message), RegistryAssessment())
    assert "hunter2" not in text
    assert "abcdefghijklmnop" not in text


def test_a_pod_and_a_cause_have_one_event() -> None:
    pod = PodMetadata(name="web", namespace="shop", uid="1")
    names = {
        build_pull_event(pod, Code.DNS_FAILURE, text, component="c", instance=text, now=NOW)["metadata"]["name"]
        for text in ("a", "b")
    }
    assert names == {pull_event_name(pod, Code.DNS_FAILURE)}
    assert pull_event_name(pod, Code.DNS_NOT_FOUND) not in names
    successor = PodMetadata(name="web", namespace="shop", uid="2")
    assert pull_event_name(successor, Code.DNS_FAILURE) not in names
    long = PodMetadata(name="a" * 253, namespace="shop", uid="1")
    assert len(pull_event_name(long, Code.DNS_FAILURE)) <= 253


def test_failing_pods_are_distinct() -> None:
    failing = FailingPull("shop/a", HOST, Code.DNS_FAILURE)
    assert replace(failing, pod="shop/b") != failing
