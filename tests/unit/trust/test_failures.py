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
from trustplane.trust.failures import NOTE_BYTES, Failing, Failures, event, event_name, note, of_registry
from trustplane.trust.knowledge import Knowledge

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST = "harbor.corp:5000"
UNTRUSTED = (
    f'ErrImagePull: failed to pull and unpack image "{HOST}/app:1": failed to resolve reference "{HOST}/app:1": failed '
    f'to do request: Head "https://{HOST}/v2/app/manifests/1": tls: failed to verify certificate: x509: certificate '
    "signed by unknown authority"
)
FOUND = st.lists(
    st.builds(
        Failing,
        pod=st.integers(0, 30).map(lambda n: f"shop/web-{n}"),
        host=st.integers(0, 12).map(lambda n: f"r{n}.corp"),
        cause=st.sampled_from(Code),
    ),
    max_size=120,
)


def failures(found: list[Failing], before: list[PullFailure], now: datetime) -> tuple[list[PullFailure], int]:
    counted = Failures()
    for one in found:
        counted.add(one)
    return counted.report(before, now)


def test_pods_are_counted_by_registry_and_cause_and_the_most_come_first() -> None:
    found = [
        Failing("shop/b", HOST, Code.ISSUER_NOT_TRUSTED),
        Failing("shop/a", HOST, Code.ISSUER_NOT_TRUSTED),
        Failing("shop/a", HOST, Code.ISSUER_NOT_TRUSTED),  # two of its containers
        Failing("shop/c", HOST, Code.DNS_FAILURE),
    ]
    listed, more = failures(found, [], NOW)
    assert [(one.host, one.cause, one.pods, one.example) for one in listed] == [
        (HOST, "issuer-not-trusted", 2, "shop/a"),
        (HOST, "dns-failure", 1, "shop/c"),
    ]
    assert {one.since for one in listed} == {NOW}
    assert more == 0


def test_the_time_of_the_first_failure_stays_and_the_last_is_to_the_hour() -> None:
    found = [Failing("shop/a", HOST, Code.DNS_FAILURE), Failing("shop/b", HOST, Code.DNS_FAILURE)]
    before, _ = failures(found[1:], [], NOW)
    soon, _ = failures(found, before, NOW + timedelta(minutes=59))
    assert (soon[0].since, soon[0].last_seen, soon[0].example) == (NOW, NOW, "shop/b")
    later, _ = failures(found, soon, NOW + timedelta(hours=1))
    assert (later[0].since, later[0].last_seen) == (NOW, NOW + timedelta(hours=1))


@given(FOUND)
def test_no_pod_is_lost_and_the_list_is_bounded(found: list[Failing]) -> None:
    listed, more = failures(found, [], NOW)
    assert len(listed) <= MAX_FAILURES
    groups = {(one.host, str(one.cause)): set[str]() for one in found}
    for one in found:
        groups[one.host, str(one.cause)].add(one.pod)
    assert all(one.pods == len(groups[one.host, one.cause]) for one in listed)
    shown = {pod for one in listed for pod in groups[one.host, one.cause]}
    assert len(shown) + more == len({one.pod for one in found})


@given(FOUND, st.randoms())
def test_the_same_failures_in_any_order_change_nothing(found: list[Failing], random: st.DataObject) -> None:
    listed, more = failures(found, [], NOW)
    again = list(found)
    random.shuffle(again)  # type: ignore[attr-defined]
    assert failures(again, listed, NOW + timedelta(minutes=5)) == (listed, more)


def test_a_registry_says_which_clusters_fail() -> None:
    def trust(name: str, *of: PullFailure) -> ClusterTrust:
        return ClusterTrust(
            metadata=Metadata(namespace="shop", name=name), status=ClusterTrustStatus(failures=list(of))
        )

    ours = PullFailure(host="harbor.corp", cause="dns-failure", pods=2, since=NOW, last_seen=NOW, example="a/b")
    other = PullFailure(host="quay.io", cause="dns-failure", pods=9)
    registry = Registry(spec=RegistrySpec(host="Harbor.corp:443"))
    found = of_registry(registry, [trust("one", ours, other), trust("two", other)])
    assert [(one.cluster, one.cause, one.pods, one.since) for one in found] == [("shop/one", "dns-failure", 2, NOW)]


def test_a_pod_is_told_cause_evidence_actor_step_and_the_ca() -> None:
    stale = Evidence(
        "management cluster", "set 0123456789, in force, trusts it", points_to=frozenset({Code.RUNTIME_STALE})
    )
    text = note(
        HOST, explain(UNTRUSTED, [stale]), Knowledge((stale,), "The CA is in force already: entry corp, SHA-256 ab")
    )
    assert text.startswith(
        f"{HOST}: the runtime started before the CA file was written, and does not use it (runtime-stale, "
        "high confidence)."
    )
    assert "Set 0123456789, in force, trusts it." in text
    assert "For the cluster owner: on the node: systemctl restart containerd" in text
    assert text.endswith("The CA is in force already: entry corp, SHA-256 ab.")


def test_what_has_no_part_in_trust_is_told_nothing_of_cas() -> None:
    message = f'ErrImagePull: failed to pull and unpack image "{HOST}/app:1": {HOST}/app:1: not found'
    assert "SHA-256" not in note(HOST, explain(message), Knowledge(remedy="SHA-256 ab"))


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_what_a_pod_is_told_is_never_too_long(message: str, remedy: str) -> None:
    assert len(note(HOST, explain(message), Knowledge(remedy=remedy)).encode()) <= NOTE_BYTES


def test_no_credentials_are_told() -> None:
    message = UNTRUSTED.replace("https://", "https://robot:hunter2-secret@") + " Authorization: Bearer abcdefghijklmnop"
    text = note(HOST, explain(message), Knowledge())
    assert "hunter2" not in text
    assert "abcdefghijklmnop" not in text


def test_one_event_for_a_pod_and_a_cause_whatever_it_says() -> None:
    pod = PodMetadata(name="web", namespace="shop", uid="1")
    names = {
        event(pod, Code.DNS_FAILURE, text, component="c", instance=text, now=NOW)["metadata"]["name"]
        for text in ("a", "b")
    }
    assert names == {event_name(pod, Code.DNS_FAILURE)}
    assert event_name(pod, Code.DNS_NOT_FOUND) not in names
    successor = PodMetadata(name="web", namespace="shop", uid="2")
    assert event_name(successor, Code.DNS_FAILURE) not in names
    long = PodMetadata(name="a" * 253, namespace="shop", uid="1")
    assert len(event_name(long, Code.DNS_FAILURE)) <= 253


def test_failing_is_told_apart_by_pod() -> None:
    one = Failing("shop/a", HOST, Code.DNS_FAILURE)
    assert replace(one, pod="shop/b") != one
