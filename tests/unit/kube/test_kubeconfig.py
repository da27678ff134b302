import base64
import os
from pathlib import Path
from typing import Any

import pytest

from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.kubeconfig import merge_kubeconfigs


def content(name: str, server: str = "https://127.0.0.1:1", **user: str) -> dict[str, Any]:
    return {
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def test_the_first_of_several_files_wins() -> None:
    merged = merge_kubeconfigs([{"clusters": None}, content("a"), content("b"), content("a", "https://other")])
    assert merged["current-context"] == "a"
    assert [cluster["name"] for cluster in merged["clusters"]] == ["a", "b"]
    assert merged["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"


async def test_the_default_path_and_the_environment(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(UserError, match="Service host/port is not set"):
        async with Client.open():
            pass
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(
        '{"current-context": "a", "clusters": [{"name": "a", "cluster": {"server": "http://home"}}],'
        ' "contexts": [{"name": "a", "context": {"cluster": "a"}}]}'
    )
    async with Client.open() as client:
        assert client.server == "http://home"


async def test_keys_are_neither_left_on_disk_nor_shown(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    secret = base64.b64encode(b"no key at all").decode()
    kubeconfig = content("a", **{"client-certificate-data": secret, "client-key-data": secret})
    with pytest.raises(UserError) as caught:
        async with Client.open(kubeconfig):
            pass
    assert not any(os.scandir(tmp_path))
    assert secret not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
