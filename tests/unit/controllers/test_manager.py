from types import SimpleNamespace
from typing import Any

from trustplane.controllers.manager import add_controllers
from trustplane.kube.manager import Manager


def test_every_controller_is_added_once() -> None:
    client: Any = SimpleNamespace(most_kept=0)  # assembly contacts no server
    manager = Manager(client)
    add_controllers(manager, client, namespace="system")
    names = [controller.name for controller in manager._controllers]
    assert sorted(names) == [
        "clustertrust",
        "configuration",
        "images",
        "proof",
        "pulls",
        "registry",
        "registry-index",
        "release",
        "rollout",
        "tanzukubernetescluster",
        "up-to-date",
    ]
