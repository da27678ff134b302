import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.pod import Pod
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Evidence, explain
from trustplane.diagnosis.pulls import CauseCache, FailedPull, failing_pulls, have_same_failures, host_of, retain_causes

REFUSED = (
    'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to do request: '
    'Head "https://{host}/v2/{path}/manifests/{tag}": {error}'
)
UNTRUSTED = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
CORPUS = json.loads((Path(__file__).parent / "pull-errors.json").read_text())
MESSAGES = [message for outcome in CORPUS.values() for message in outcome["messages"].values() if message]


def pod(*waiting: tuple[str, str, str], field: str = "containerStatuses") -> Pod:
    statuses = [
        {"name": "main", "image": image, "state": {"waiting": {"reason": reason, "message": message}}}
        for image, reason, message in waiting
    ]
    return msgspec.convert({"metadata": {"name": "web"}, "status": {field: statuses}}, Pod)


def pull(error: str, *, path: str = "team/app", tag: str = "1", host: str = "harbor.corp:5000") -> FailedPull:
    image = f"{host}/{path}:{tag}"
    return FailedPull(image, "ErrImagePull: " + REFUSED.format(image=image, host=host, path=path, tag=tag, error=error))


def test_a_pod_without_failing_pulls() -> None:
    assert failing_pulls(Pod()) == ()
    assert failing_pulls(pod(("a/b:1", "ContainerCreating", ""), ("a/b:1", "CrashLoopBackOff", "back-off"))) == ()
    running = {"status": {"containerStatuses": [{"image": "a", "state": {"running": {"startedAt": "x"}}}]}}
    assert failing_pulls(msgspec.convert(running, Pod)) == ()


@pytest.mark.parametrize("field", ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"])
def test_a_container_of_any_kind_that_waits_for_its_image_fails(field: str) -> None:
    [failed] = failing_pulls(pod(("harbor.corp/app:1", "ErrImagePull", "x509"), field=field))
    assert (failed.image, failed.host, failed.message) == ("harbor.corp/app:1", "harbor.corp", "ErrImagePull: x509")


def test_the_host_of_an_image() -> None:
    assert host_of("busybox") == "docker.io"
    assert host_of("Harbor.Corp:443/app@sha256:00") == "harbor.corp"
    assert len(host_of(f"{'a' * 400}.b/app")) <= 236


def test_pods_with_one_registry_and_cause_share_a_signature() -> None:
    late = "x509: certificate has expired or is not yet valid: current time 2026-01-0{}T00:00:00Z is after 2026-01-01"
    assert pull(late.format(2), path="team/one").signature == pull(late.format(3), path="team/two").signature
    lost = "dial tcp: lookup harbor.corp on 10.0.0.2:53: read udp 10.0.0.1:{}->10.0.0.2:53: i/o timeout"
    assert pull(lost.format(4001)).signature == pull(lost.format(51234)).signature


def test_another_registry_or_cause_has_another_signature() -> None:
    assert pull(UNTRUSTED).signature != pull("EOF").signature
    assert pull(UNTRUSTED).signature != pull(UNTRUSTED, host="other.corp").signature
    status = "unexpected status from HEAD request: {} "
    assert pull(status.format("401 Unauthorized")).signature != pull(status.format("403 Forbidden")).signature


def backs_off(pull: FailedPull) -> FailedPull:
    return FailedPull(pull.image, f'ImagePullBackOff: Back-off pulling image "{pull.image}": {pull.message}')


def test_a_repeated_failure_is_the_same_as_before() -> None:
    late = "x509: certificate has expired or is not yet valid: current time 2026-01-0{}T00:00:00Z is after 2026-01-01"
    before, now = pull(late.format(2)), pull(late.format(3))
    assert have_same_failures([backs_off(before)], [now])
    assert have_same_failures([before], [backs_off(now)])


def test_another_message_registry_or_number_of_pulls_is_a_change() -> None:
    failed = pull(UNTRUSTED)
    assert not have_same_failures([backs_off(failed)], [pull("EOF")])
    assert not have_same_failures(
        [FailedPull("a.test/b:1", "ErrImagePull: EOF")], [FailedPull("c.test/b:1", "ErrImagePull: EOF")]
    )
    assert not have_same_failures([failed], [failed, failed])
    assert not have_same_failures([], [failed])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda _: "")
def test_equal_failures_have_the_same_causes(message: str) -> None:
    failed = FailedPull(explain(message).parsed.image or "harbor.corp/app:1", f"ErrImagePull: {message}")
    assert have_same_failures([failed], [backs_off(failed)])
    assert explain(failed.message).codes == explain(backs_off(failed).message).codes


@pytest.mark.parametrize("message", MESSAGES, ids=lambda _: "")
def test_causes_are_those_of_explain(message: str) -> None:
    image = explain(message).parsed.image or "harbor.corp/app:1"
    assert CauseCache().cause_of(FailedPull(image, message)) is explain(message).causes[0].code


@given(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=20))
def test_cached_causes_change_no_other_cause(messages: list[str]) -> None:
    causes = CauseCache()
    for message in messages:
        image = explain(message).parsed.image or "harbor.corp/app:1"
        assert causes.cause_of(FailedPull(image, message)) is CauseCache().cause_of(FailedPull(image, message))


def test_evidence_is_not_cached() -> None:
    causes, failed = CauseCache(), pull(UNTRUSTED)
    stale = Evidence("test", "", points_to=frozenset({Code.RUNTIME_STALE}))
    assert causes.cause_of(failed) is Code.ISSUER_NOT_TRUSTED
    assert causes.cause_of(failed, [stale]) is Code.RUNTIME_STALE
    assert causes.cause_of(failed) is Code.ISSUER_NOT_TRUSTED


@given(st.text(max_size=300), st.text(max_size=80))
def test_any_message_has_a_signature_and_a_cause(message: str, image: str) -> None:
    assert isinstance(CauseCache().cause_of(FailedPull(image, message)), Code)


def test_a_message_without_a_cause_does_not_replace_one_with_a_cause() -> None:
    known, image = pull(UNTRUSTED), pull(UNTRUSTED).image
    silent = FailedPull(image, f'ImagePullBackOff: Back-off pulling image "{image}"')
    other = FailedPull("a/b:1", 'ImagePullBackOff: Back-off pulling image "a/b:1"')
    assert retain_causes([known], [silent, other]) == (known, other)
    limited = FailedPull(image, f'ImagePullBackOff: Back-off pulling image "{image}": ErrImagePull: pull QPS exceeded')
    assert retain_causes([known], [limited]) == (known,)
    newer = pull("EOF")
    assert retain_causes([known], [newer]) == (newer,)
