import base64
import json

import pytest
from rich.console import Console

from trustplane_local.demo import manifests
from trustplane_local.demo.story import Story, StoryError


def test_a_false_claim_ends_the_story_and_its_act_is_not_recorded() -> None:
    story = Story(Console(quiet=True))
    with story.act("it rains"):
        story.check("the street is wet", holds=True)
    with pytest.raises(StoryError, match=r"the street is dry.*observed instead: puddles"), story.act("it stops"):
        story.check("the street is dry", holds=False, observed="puddles")
    assert [title for title, _ in story.acts] == ["it rains"]


def test_a_wait_ends_when_the_claim_first_holds() -> None:
    results = iter([(True, "exists"), (False, "gone")])
    Story(Console(quiet=True)).wait_until("it exists", lambda: next(results), seconds=5)
    assert next(results) == (False, "gone")


def test_a_wait_without_success_reports_the_last_state() -> None:
    with pytest.raises(StoryError, match="observed instead: still nothing"):
        Story(Console(quiet=True)).wait_until("it exists", lambda: (False, "still nothing"), seconds=0)


def test_the_service_configuration_has_the_documented_format() -> None:
    body = manifests.configuration_manifest({"corp": b"pem"})
    assert body["apiVersion"] == "run.tanzu.vmware.com/v1alpha1"
    assert body["spec"]["trust"]["additionalTrustedCAs"] == [{"name": "corp", "data": "cGVt"}]


def test_the_pull_secret_equals_that_of_kubectl_create() -> None:
    secret = manifests.pull_secret("name", "registry.test", "robot$puller", "secret")
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert base64.b64decode(config["auths"]["registry.test"]["auth"]) == b"robot$puller:secret"


def test_a_deployment_without_credentials_has_no_pull_secret() -> None:
    spec = manifests.deployment_manifest("app", "image", credentials=None)["spec"]["template"]["spec"]
    assert "imagePullSecrets" not in spec
