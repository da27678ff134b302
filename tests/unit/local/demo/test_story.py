import base64
import json

import pytest
from rich.console import Console

from trustplane_local.demo import manifests
from trustplane_local.demo.story import Story, StoryError


def test_a_claim_that_does_not_hold_ends_the_story_and_its_act_is_not_counted() -> None:
    story = Story(Console(quiet=True))
    with story.act("it rains"):
        story.check("the street is wet", holds=True)
    with pytest.raises(StoryError, match=r"the street is dry.*seen instead: puddles"), story.act("it stops"):
        story.check("the street is dry", holds=False, seen="puddles")
    assert [title for title, _ in story.acts] == ["it rains"]


def test_waiting_ends_at_the_first_good_answer() -> None:
    answers = iter([(True, "there"), (False, "gone")])
    Story(Console(quiet=True)).until("it is there", lambda: next(answers), seconds=5)
    assert next(answers) == (False, "gone")


def test_waiting_says_what_was_seen_last() -> None:
    with pytest.raises(StoryError, match="seen instead: still nothing"):
        Story(Console(quiet=True)).until("it is there", lambda: (False, "still nothing"), seconds=0)


def test_the_service_configuration_is_the_customers_page() -> None:
    body = manifests.configuration_manifest({"one": b"pem"})
    assert body["apiVersion"] == "run.tanzu.vmware.com/v1alpha1"
    assert body["spec"]["trust"]["additionalTrustedCAs"] == [{"name": "one", "data": "cGVt"}]


def test_the_pull_secret_is_what_kubectl_would_make() -> None:
    secret = manifests.pull_secret("name", "registry.test", "robot$puller", "secret")
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert base64.b64decode(config["auths"]["registry.test"]["auth"]) == b"robot$puller:secret"


def test_a_deployment_without_credentials_names_none() -> None:
    spec = manifests.deployment_manifest("app", "image", credentials=None)["spec"]["template"]["spec"]
    assert "imagePullSecrets" not in spec
