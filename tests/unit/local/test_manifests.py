import copy
from typing import Any

from trustplane_local import manifests

Json = dict[str, Any]
SERVICE = {"namespace": "capi-system", "name": "capi-webhook-service", "path": "/convert"}


def crd(conversion: Json | None) -> Json:
    annotations = {"cert-manager.io/inject-ca-from": "capi-system/capi-serving-cert", "kept": "yes"}
    spec = {"group": "cluster.x-k8s.io", "conversion": conversion} if conversion else {"group": "cluster.x-k8s.io"}
    return {"kind": "CustomResourceDefinition", "metadata": {"name": "a", "annotations": annotations}, "spec": spec}


CONVERTED = crd({"strategy": "Webhook", "webhook": {"clientConfig": {"service": SERVICE}}})
PLAIN = crd(None)
HOOKS = {
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "hooks"},
    "webhooks": [
        {"name": "one", "clientConfig": {"service": {**SERVICE, "path": "/mutate"}}},
        {"name": "two", "clientConfig": {"service": {"namespace": "capi-system", "name": "x"}}},
    ],
}
OTHERS = [{"kind": kind, "metadata": {"name": "x"}} for kind in ("Deployment", "Service", "Certificate", "Role")]


def test_only_what_a_supervisor_needs_is_kept() -> None:
    namespace = {"kind": "Namespace", "metadata": {"name": "capi-system"}}
    kept = manifests.adapt_manifests([CONVERTED, *OTHERS, namespace, {}, HOOKS], 9443, "Q0E=")
    assert [one["kind"] for one in kept] == ["CustomResourceDefinition", "Namespace", "MutatingWebhookConfiguration"]


def test_webhooks_and_conversions_point_at_this_machine() -> None:
    kept_crd, kept_hooks = manifests.adapt_manifests([CONVERTED, HOOKS], 9443, "Q0E=")
    converted = kept_crd["spec"]["conversion"]["webhook"]["clientConfig"]
    assert converted == {"url": "https://127.0.0.1:9443/convert", "caBundle": "Q0E="}
    assert [one["clientConfig"] for one in kept_hooks["webhooks"]] == [
        {"url": "https://127.0.0.1:9443/mutate", "caBundle": "Q0E="},
        {"url": "https://127.0.0.1:9443", "caBundle": "Q0E="},
    ]


def test_the_certificate_injection_goes_and_the_rest_stays() -> None:
    (kept,) = manifests.adapt_manifests([PLAIN], 9443, "Q0E=")
    assert kept["metadata"]["annotations"] == {"kept": "yes"}
    assert kept["spec"] == PLAIN["spec"]


def test_the_manifests_themselves_are_left_as_they_are() -> None:
    before = copy.deepcopy([CONVERTED, HOOKS])
    manifests.adapt_manifests([CONVERTED, HOOKS], 9443, "Q0E=")
    assert before == [CONVERTED, HOOKS]
