"""Settings and fixtures of all unit tests."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

EXAMPLES = Path(__file__).parents[2] / "examples"

# Machines that run tests are shared: how long one example takes says nothing about the code.
settings.register_profile(
    "shared-machine", deadline=None, max_examples=int(os.environ.get("TRUSTPLANE_TEST_EXAMPLES", "100"))
)
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def data() -> dict[str, str]:
    """Base64 of the PEM of three CAs: a, b and c."""
    service = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())
    own = yaml.safe_load((EXAMPLES / "tanzukubernetescluster-own-trust.yaml").read_text())
    entries = [
        *service["spec"]["trust"]["additionalTrustedCAs"],
        *own["spec"]["settings"]["network"]["trust"]["additionalTrustedCAs"],
    ]
    return dict(zip("abc", (entry["data"] for entry in entries), strict=True))
