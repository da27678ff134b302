import json
from typing import Any

import msgspec
import pytest
import structlog
from prometheus_client import REGISTRY
from starlette.types import Message

from trustplane.api.core import Secret
from trustplane.api.webhooks import ADMISSION_PATH
from trustplane.kube.errors import UnavailableError
from trustplane.webhooks import admission, review
from trustplane.webhooks.admission import Admission
from trustplane.webhooks.application import create_application

DEEP = b'{"a":' * 200_000
CONFIGURATION = {"group": "run.tanzu.vmware.com", "version": "v1alpha3", "kind": "TkgServiceConfiguration"}
CLUSTER = {"group": "cluster.x-k8s.io", "version": "v1beta2", "kind": "Cluster"}
BROKEN = {"metadata": {"name": "x"}, "spec": {"trust": {"additionalTrustedCAs": [{"name": "a", "data": "hunter2!"}]}}}
NAMING = {
    "metadata": {"name": "c"},
    "spec": {"topology": {"variables": [{"name": "trust", "value": {"additionalTrustedCAs": [{"name": "a"}]}}]}},
}


class Secrets:
    """A client for the Secrets of one namespace."""

    def __init__(self, **data: dict[str, str]) -> None:
        self._data = data

    async def find(self, _resource: object, name: str, namespace: str) -> Secret | None:
        assert namespace == "team"
        data = self._data.get(name.replace("-", "_"))
        return None if data is None else Secret(data=data)


class Unavailable:
    async def find(self, *_: object) -> Secret | None:
        raise UnavailableError("The API server does not answer")


async def post(body: bytes, client: Any = None) -> tuple[int, Any]:
    sent: list[Message] = []
    left = [body]

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    app = create_application([Admission(client or Secrets()).route()])
    scope = {"type": "http", "method": "POST", "path": ADMISSION_PATH, "headers": [], "query_string": b"timeout=5s"}
    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(content) if content[:1] == b"{" else content.decode()


async def review_of(kind: Any, after: Any, before: Any = None, *, operation: str = "CREATE", client: Any = None) -> Any:
    request = {
        "uid": "7",
        "kind": kind,
        "name": "x",
        "namespace": "team",
        "operation": operation,
        "object": after,
        "oldObject": before,
    }
    status, answer = await post(json.dumps({"kind": "AdmissionReview", "request": request}).encode(), client)
    assert status == 200
    assert answer["response"]["uid"] == "7"
    return answer["response"]


async def test_a_broken_list_is_refused() -> None:
    response = await review_of(CONFIGURATION, BROKEN)
    assert response["allowed"] is False
    assert "additionalTrustedCAs[0] (a): not-base64" in response["status"]["message"]
    assert "hunter2" not in str(response)


async def test_an_update_without_a_change_of_trust_is_allowed() -> None:
    assert await review_of(CONFIGURATION, BROKEN, BROKEN, operation="UPDATE") == {"uid": "7", "allowed": True}


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
async def test_a_deletion_is_always_allowed(operation: str) -> None:
    assert (await review_of(CONFIGURATION, None, BROKEN, operation=operation))["allowed"]


async def test_a_terminating_object_is_always_allowed() -> None:
    terminating = BROKEN | {"metadata": {"name": "x", "deletionTimestamp": "2026-11-23T12:00:00Z"}}
    assert await review_of(CONFIGURATION, terminating, operation="UPDATE") == {"uid": "7", "allowed": True}


async def test_a_secret_referenced_by_a_cluster_is_read() -> None:
    response = await review_of(CLUSTER, NAMING, client=Secrets(c_user_trusted_ca_secret={"a": "aHVudGVyMg=="}))
    assert response["allowed"] is False
    assert "Secret c-user-trusted-ca-secret[0] (a): not-base64" in response["status"]["message"]
    assert "no-secret" in (await review_of(CLUSTER, NAMING))["warnings"][0]


async def test_an_unreadable_secret_blocks_nothing() -> None:
    response = await review_of(CLUSTER, NAMING, client=Unavailable())
    assert response["allowed"]
    assert "unread-secret" in response["warnings"][0]


async def test_a_bug_blocks_nothing_and_reveals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_kind: str, after: object, *_: object) -> None:
        raise RuntimeError(after)

    monkeypatch.setattr(admission, "object_findings", broken)
    with structlog.testing.capture_logs() as logs:
        response = await review_of(CONFIGURATION, BROKEN)
    assert response["allowed"]
    assert response["warnings"][0].startswith("not-judged: ")
    assert "hunter2" not in str((response, logs))
    assert "Traceback" not in str(response)
    assert any(line["event"] == "not checked" and line["error"] == "RuntimeError" for line in logs)


@pytest.mark.parametrize("spec", [7, {"trust": 7}, {"trust": {"additionalTrustedCAs": {"a": "b"}}}])
async def test_an_object_of_another_shape_blocks_nothing(spec: object) -> None:
    assert (await review_of(CONFIGURATION, {"metadata": {}, "spec": spec}))["allowed"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"request": 7}', b"\xff", DEEP, b'{"request":' + DEEP])
async def test_another_body_is_a_bad_request(body: bytes) -> None:
    assert (await post(body))[0] == 400


@pytest.mark.parametrize("kind", ["K" * 4_000, "Pod", ""])
async def test_unknown_kinds_share_one_metric_label(kind: str) -> None:
    def samples() -> int:
        return sum(len(metric.samples) for metric in REGISTRY.collect())

    await review_of({"group": "", "kind": "another"}, None, operation="DELETE")
    before = samples()
    await review_of({"group": "", "kind": kind}, None, operation="DELETE")
    assert samples() == before
    assert REGISTRY.get_sample_value("trustplane_admission_reviews_total", {"kind": "other", "result": "allowed"})


async def test_irrelevant_fields_are_not_decoded() -> None:
    variables = [{"name": "other", "value": [{}] * 1000}, *NAMING["spec"]["topology"]["variables"]]
    topology = {"variables": variables, "workers": {"machineDeployments": [{"name": "a"}]}}
    spec = {"other": [[{}] * 1000] * 10, "topology": topology}
    content = msgspec.Raw(json.dumps(NAMING | {"spec": spec, "status": {"a": 1}}).encode())
    part = review.relevant_part("Cluster", content)
    assert part is not None
    assert part["spec"]["topology"]["variables"][1] == NAMING["spec"]["topology"]["variables"][0]
    assert len(json.dumps(part)) < 500
    assert review.relevant_part("Pod", content) is None
