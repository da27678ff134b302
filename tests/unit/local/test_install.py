import base64

from trustplane_local import install
from trustplane_local.stack import Stack


def test_lists_are_judged_by_the_webhook_server_of_this_stack(stack: Stack) -> None:
    manifests = stack.bin.parent / "manifests"
    manifests.mkdir(parents=True)
    for component in install.COMPONENTS:
        (manifests / f"{component}.yaml").write_text("")
    stack.pki.mkdir(parents=True)
    (stack.pki / "ca.crt").write_text("CA")
    [found] = [one for one in install.collect_definitions(stack) if one["kind"] == "ValidatingWebhookConfiguration"]
    url, bundle = f"https://127.0.0.1:{stack.ports['webhook']}", base64.b64encode(b"CA").decode()
    assert {one["clientConfig"]["url"] for one in found["webhooks"]} == {f"{url}/admission"}
    assert {one["clientConfig"]["caBundle"] for one in found["webhooks"]} == {bundle}
