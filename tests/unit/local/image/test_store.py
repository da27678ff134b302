"""The store of a machine: files of images shared, databases its own. That nodes run from it is shown end to end."""

import os
from pathlib import Path

import pytest

from trustplane.errors import HostError
from trustplane_local.image import store
from trustplane_local.toolchain import Toolchain


def filled(folder: Path) -> Path:
    made = folder / "store"
    (made / "content" / "blobs").mkdir(parents=True)
    (made / "content" / "blobs" / "sha256-1").write_text("layer")
    (made / "content" / "latest").symlink_to("blobs/sha256-1")
    (made / "meta.db").write_text("database")
    return made


def test_files_are_shared_and_databases_are_not(tmp_path: Path) -> None:
    made, machine = filled(tmp_path), tmp_path / "machine"
    store.link_store(made, machine)
    assert (machine / "content/blobs/sha256-1").samefile(made / "content/blobs/sha256-1")
    assert (machine / "content/latest").readlink() == Path("blobs/sha256-1")
    (machine / "meta.db").write_text("another")
    assert (made / "meta.db").read_text() == "database"


def test_on_another_file_system_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    made, machine = filled(tmp_path), tmp_path / "machine"
    store.link_store(made, machine)
    assert (machine / "content/blobs/sha256-1").read_text() == "layer"
    assert not (machine / "content/blobs/sha256-1").samefile(made / "content/blobs/sha256-1")


@pytest.mark.parametrize(
    ("program", "words"),
    [("containerd", "containerd does not start"), ("ctr", "cannot import etcd.tar")],
)
def test_a_failure_is_told(toolchain: Toolchain, tmp_path: Path, program: str, words: str) -> None:
    (toolchain.bin / program).write_text("#!/bin/sh\nexit 1\n")
    with (tmp_path / "log").open("wb") as log, pytest.raises(HostError, match=words) as error:
        store.fill_store(tmp_path / "store", [tmp_path / "etcd.tar"], toolchain.bin, log)
    assert str(tmp_path / "log") in error.value.next_step
