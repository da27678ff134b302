"""A machine's store shares the files of images, but not databases. The end-to-end tests run nodes from it."""

import os
from pathlib import Path

import pytest

from trustplane.errors import HostError
from trustplane_local.image import store
from trustplane_local.toolchain import Toolchain


def create_store(folder: Path) -> Path:
    store_folder = folder / "store"
    (store_folder / "content" / "blobs").mkdir(parents=True)
    (store_folder / "content" / "blobs" / "sha256-1").write_text("layer")
    (store_folder / "content" / "latest").symlink_to("blobs/sha256-1")
    (store_folder / "meta.db").write_text("database")
    return store_folder


def test_files_are_shared_and_databases_are_not(tmp_path: Path) -> None:
    original, machine = create_store(tmp_path), tmp_path / "machine"
    store.link_store(original, machine)
    assert (machine / "content/blobs/sha256-1").samefile(original / "content/blobs/sha256-1")
    assert (machine / "content/latest").readlink() == Path("blobs/sha256-1")
    (machine / "meta.db").write_text("another")
    assert (original / "meta.db").read_text() == "database"


def test_the_store_is_copied_to_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    original, machine = create_store(tmp_path), tmp_path / "machine"
    store.link_store(original, machine)
    assert (machine / "content/blobs/sha256-1").read_text() == "layer"
    assert not (machine / "content/blobs/sha256-1").samefile(original / "content/blobs/sha256-1")


@pytest.mark.parametrize(
    ("program", "message"),
    [("containerd", "containerd does not start"), ("ctr", "cannot import etcd.tar")],
)
def test_a_failure_is_an_error(toolchain: Toolchain, tmp_path: Path, program: str, message: str) -> None:
    (toolchain.bin / program).write_text("#!/bin/sh\nexit 1\n")
    with (tmp_path / "log").open("wb") as log, pytest.raises(HostError, match=message) as error:
        store.fill_store(tmp_path / "store", [tmp_path / "etcd.tar"], toolchain.bin, log)
    assert str(tmp_path / "log") in error.value.next_step
