from pathlib import Path

import yaml

from trustplane.api.webhooks import validating

DEPLOYED = Path(__file__).parents[3] / "deploy" / "admission.yaml"
SERVICE = {"service": {"namespace": "trustplane-system", "name": "trustplane-webhook", "port": 443}}
INJECTED = {"cert-manager.io/inject-ca-from": "trustplane-system/trustplane-webhook"}


def test_the_deployed_manifest_matches_the_code() -> None:
    expected = validating(SERVICE, INJECTED)
    assert yaml.safe_load(DEPLOYED.read_text()) == expected, yaml.safe_dump(expected, sort_keys=False, width=120)


def test_no_webhook_can_block_the_api() -> None:
    for webhook in validating(SERVICE)["webhooks"]:
        assert webhook["failurePolicy"] == "Ignore"
        assert webhook["timeoutSeconds"] <= 5
        assert webhook["sideEffects"] == "None"


def test_neither_deletions_nor_status_are_checked() -> None:
    for webhook in validating(SERVICE)["webhooks"]:
        [rule] = webhook["rules"]
        assert rule["operations"] == ["CREATE", "UPDATE"]
        assert not any("/" in resource or "*" in resource for resource in rule["resources"])


def test_a_url_gets_the_path() -> None:
    client = {"url": "https://127.0.0.1:9443", "caBundle": "Q0E="}
    for webhook in validating(client)["webhooks"]:
        assert webhook["clientConfig"] == {"url": "https://127.0.0.1:9443/admission", "caBundle": "Q0E="}
