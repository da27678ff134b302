"""Three real CAs from the examples."""

from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="session")
def data() -> dict[str, str]:
    """Return the base64 PEM of three CAs: a, b and c."""
    service = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())
    own = yaml.safe_load((EXAMPLES / "tanzukubernetescluster-own-trust.yaml").read_text())
    entries = [
        *service["spec"]["trust"]["additionalTrustedCAs"],
        *own["spec"]["settings"]["network"]["trust"]["additionalTrustedCAs"],
    ]
    return dict(zip("abc", (entry["data"] for entry in entries), strict=True))
