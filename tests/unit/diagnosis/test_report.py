"""Piped input: tables and JSON of events and pods."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trustplane.diagnosis.messages import Message, messages_in
from trustplane.diagnosis.report import ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN, exit_code, explain_messages

REFUSED = (
    'Failed to pull image "h.test/a:1": Get "https://h.test/v2/": dial tcp 10.0.0.1:443: connect: connection refused'
)
DENIED = (
    'Failed to pull image "h.test/a:1": unexpected status from HEAD request to https://h.test/v2/a: 401 Unauthorized'
)
SECRETS = "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."


def event(message: str, reason: str = "Failed", pod: str = "web") -> dict[str, Any]:
    return {
        "kind": "Event",
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod},
        "reason": reason,
        "message": message,
    }


def listed(*items: dict[str, Any]) -> str:
    return json.dumps({"kind": "List", "items": items})


def codes(content: str) -> list[list[str]]:
    return [[str(code) for code in answer.explanation.codes] for answer in explain_messages(messages_in(content))]


def test_events_of_one_pod_make_one_answer() -> None:
    content = listed(
        event('Pulling image "h.test/a:1"', "Pulling"),
        event(REFUSED),
        event("Error: ErrImagePull"),
        event('Back-off pulling image "h.test/a:1"', "BackOff"),
        event("Error: ImagePullBackOff"),
        event("0/3 nodes are available", "FailedScheduling"),
    )
    answers = explain_messages(messages_in(content))
    assert [answer.explanation.codes for answer in answers] == [("connection-refused",)]
    assert answers[0].subjects == ("shop/web",)
    assert exit_code(answers) == ONE_CAUSE


def test_pods_with_the_same_failure_share_an_answer() -> None:
    answers = explain_messages(
        messages_in(listed(event(REFUSED, pod="a"), event(REFUSED, pod="b"), event(DENIED, pod="c")))
    )
    assert [answer.subjects for answer in answers] == [("shop/a", "shop/b"), ("shop/c",)]
    assert exit_code(answers) == SEVERAL_CAUSES


def test_the_warning_about_pull_secrets_counts_as_evidence() -> None:
    content = listed(event(SECRETS, "FailedToRetrieveImagePullSecret"), event(DENIED))
    assert codes(content) == [["auth-missing"]]
    assert codes(listed(event(SECRETS, "FailedToRetrieveImagePullSecret"))) == [["auth-missing"]]
    assert codes(listed(event(SECRETS, "FailedToRetrieveImagePullSecret"), event(REFUSED))) == [["connection-refused"]]


def test_events_of_the_newer_api() -> None:
    new = {"kind": "Event", "regarding": {"namespace": "s", "name": "p"}, "reason": "Failed", "note": REFUSED}
    assert messages_in(json.dumps(new)) == [Message(REFUSED, "s/p")]


def test_pods_with_waiting_containers() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": f"Back-off: ErrImagePull: {REFUSED}"}}}
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "s", "name": "p"},
        "status": {"initContainerStatuses": [{"state": {"running": {}}}], "containerStatuses": [waiting, waiting]},
    }
    assert codes(json.dumps(pod)) == [["connection-refused"]]
    assert codes(listed(pod, pod)) == [["connection-refused"]]
    assert codes(json.dumps(pod) + "\n" + json.dumps(pod)) == [["connection-refused"]]


def test_a_running_pod_has_no_message() -> None:
    assert messages_in(json.dumps({"kind": "Pod", "status": {}})) == []
    assert exit_code([]) == UNKNOWN


def test_events_from_kubectl_describe() -> None:
    content = f"""Events:
  Type     Reason     Age                From               Message
  ----     ------     ----               ----               -------
  Normal   Scheduled  5m                 default-scheduler  Successfully assigned shop/web to node
  Warning  Failed     3m (x4 over 5m)    kubelet            {REFUSED}
  Warning  Failed     3m (x4 over 5m)    kubelet            Error: ErrImagePull
  Normal   BackOff    1s (x9 over 5m)    kubelet            Back-off pulling image "h.test/a:1"
"""
    assert codes(content) == [["connection-refused"]]


def test_events_from_kubectl_get() -> None:
    content = f"""LAST SEEN   TYPE      REASON    OBJECT    MESSAGE
2m          Normal    Pulling   pod/web   Pulling image "h.test/a:1"
2m          Warning   Failed    pod/web   {REFUSED}
"""
    assert codes(content) == [["connection-refused"]]


def test_json_without_a_kubernetes_object_is_a_message() -> None:
    text = '{"errors":[{"code":"DENIED"}]}'
    assert messages_in(text) == [Message(text)]
    assert messages_in("") == []


def test_a_message_without_a_cause_is_unknown() -> None:
    answers = explain_messages(messages_in('Back-off pulling image "h.test/a:1"'))
    assert [answer.explanation.codes for answer in answers] == [("unknown",)]
    assert exit_code(answers) == UNKNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "items", "status", "containerStatuses", "state", "waiting", "reason", "involvedObject"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read(document: object) -> None:
    answers = explain_messages(messages_in(json.dumps(document)))
    assert exit_code(answers) in {ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN}


@given(st.text())
def test_any_text_is_read(content: str) -> None:
    explain_messages(messages_in(content))


def test_each_line_of_a_log_is_a_message() -> None:
    log = f'level=error msg="PullImage failed" error="{REFUSED}"\nlevel=info\nlevel=error error="{DENIED}"\n'
    assert codes(log) == [["connection-refused"], ["auth-missing", "auth-rejected", "access-denied"]]


def test_folded_yaml_lines_are_one_message() -> None:
    folded = REFUSED.replace(": dial", ":\n        dial").replace("pull image", "pull\n      image")
    assert codes(folded) == [["connection-refused"]]


def test_other_events_are_ignored() -> None:
    restarts = event("Back-off restarting failed container web in pod web_shop", "BackOff")
    assert messages_in(listed(restarts)) == []


def test_a_group_lists_its_images() -> None:
    failures = [
        event(REFUSED.replace("h.test/a:1", f"h.test/team/app{number}:1"), pod=f"web-{number}") for number in "123"
    ]
    answers = explain_messages(messages_in(listed(*failures)))
    assert [answer.images for answer in answers] == [tuple(f"h.test/team/app{number}:1" for number in "123")]
    assert answers[0].subjects == ("shop/web-1", "shop/web-2", "shop/web-3")


def test_messages_of_one_shape_on_other_hosts_are_other_answers() -> None:
    failures = [event(REFUSED.replace("h.test", host), pod=host) for host in ("h.test", "i.test")]
    answers = explain_messages(messages_in(listed(*failures)))
    assert [answer.explanation.parsed.endpoint.host for answer in answers] == ["h.test", "i.test"]


def test_a_pod_s_log_is_the_next_source_if_the_pod_itself_has_no_message() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "h.test/a:1"'}}
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "web"},
        "status": {"containerStatuses": [{"state": waiting}]},
    }
    step = explain_messages(messages_in(json.dumps(pod)))[0].explanation.causes[0].next_step
    assert step == "on the node: journalctl -u kubelet --since -1h | grep web | trustplane explain"
