import base64

from trustplane_local import install
from trustplane_local.stack import Stack


def test_trust_lists_are_validated_by_this_stacks_webhook_server(stack: Stack) -> None:
    manifests = stack.bin.parent / "manifests"
    manifests.mkdir(parents=True)
    for component in install.COMPONENTS:
        (manifests / f"{component}.yaml").write_text("")
    stack.pki.mkdir(parents=True)
    (stack.pki / "ca.crt").write_text("CA")
    definitions = install.collect_definitions(stack)
    [configuration] = [entry for entry in definitions if entry["kind"] == "ValidatingWebhookConfiguration"]
    url, bundle = f"https://127.0.0.1:{stack.ports['webhook']}", base64.b64encode(b"CA").decode()
    assert {webhook["clientConfig"]["url"] for webhook in configuration["webhooks"]} == {f"{url}/admission"}
    assert {webhook["clientConfig"]["caBundle"] for webhook in configuration["webhooks"]} == {bundle}
