"""Write the YAML of docs/how-to/own-clusterclass.md anew: `make pages`."""

import re
from pathlib import Path
from typing import Any

from trustplane.cli.cluster_class.command import as_yaml
from trustplane.clusterapi.bootstrap import add_trust, unpack_file

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-clusterclass.md"
CLUSTER, NAMESPACE = "web", "team-b"
_BLOCK = re.compile(r"(<!-- Made by `make pages`[^\n]*-->\n```yaml\n)(.*?)(```\n)", re.DOTALL)

Json = dict[str, Any]


def blocks() -> list[str]:
    """Return the YAML of the page: what every KubeadmConfigSpec needs, and where it goes."""
    control_plane = {
        "apiVersion": "controlplane.cluster.x-k8s.io/v1beta2",
        "kind": "KubeadmControlPlane",
        "metadata": {"name": f"{CLUSTER}-control-plane", "namespace": NAMESPACE},
        "spec": {"kubeadmConfigSpec": _without_script(add_trust(_existing(), CLUSTER))},
    }
    worker = {
        "apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2",
        "kind": "KubeadmConfigTemplate",
        "metadata": {"name": f"{CLUSTER}-md-0", "namespace": NAMESPACE},
        "spec": {"template": {"spec": _without_script(add_trust({}, CLUSTER))}},
    }
    return [as_yaml(add_trust({}, CLUSTER)), f"{as_yaml(control_plane)}---\n{as_yaml(worker)}"]


def _existing() -> Json:
    return {"files": [{"path": "/etc/yours", "content": "yours\n"}], "preKubeadmCommands": ["echo yours"]}


def _without_script(spec: Json) -> Json:
    script = unpack_file()
    shown = script | {"content": "# the script above\n"}
    return spec | {"files": [shown if one == script else one for one in spec["files"]]}


def written(page: str) -> str:
    """Return the page with its YAML as it is to be."""
    new = iter(blocks())
    return _BLOCK.sub(lambda found: found[1] + next(new) + found[3], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
