import base64

import pytest

from trustplane.clusterapi import hooks
from trustplane.local import install
from trustplane.local.stack import Stack


def test_lists_are_judged_by_the_extension_of_this_stack(stack: Stack) -> None:
    manifests = stack.bin.parent / "manifests"
    manifests.mkdir(parents=True)
    for component in install.COMPONENTS:
        (manifests / f"{component}.yaml").write_text("")
    stack.pki.mkdir(parents=True)
    (stack.pki / "ca.crt").write_text("CA")
    [found] = [one for one in install.definitions(stack) if one["kind"] == "ValidatingWebhookConfiguration"]
    url, bundle = f"https://127.0.0.1:{stack.ports['extension']}", base64.b64encode(b"CA").decode()
    assert {one["clientConfig"]["url"] for one in found["webhooks"]} == {f"{url}/admission"}
    assert {one["clientConfig"]["caBundle"] for one in found["webhooks"]} == {bundle}
    assert install.extension_config(stack)["spec"]["clientConfig"] == {"url": url, "caBundle": bundle}


def test_other_handlers_make_cluster_api_ask_for_them_anew(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.pki.mkdir(parents=True)
    (stack.pki / "ca.crt").write_text("CA")
    before = install.extension_config(stack)
    assert install.extension_config(stack) == before
    monkeypatch.setattr(hooks, "discovery", lambda _: {"handlers": []})
    assert install.extension_config(stack)["metadata"] != before["metadata"]
