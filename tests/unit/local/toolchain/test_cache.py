import os
from pathlib import Path

import pytest

from trustplane_local.toolchain import default_cache
from trustplane_local.toolchain.cache import FileRecords, Record, lock_file


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"TRUSTPLANE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"TRUSTPLANE_CACHE": "", "XDG_CACHE_HOME": "/b"}, Path("/b/trustplane")),
        ({}, Path.home() / ".cache" / "trustplane"),
    ],
)
def test_default_cache(environment: dict[str, str], folder: Path) -> None:
    assert default_cache(environment) == folder


def test_copied_cache_is_whole(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    draft.write_bytes(b"content")
    FileRecords(tmp_path).add("bin/program", draft)
    os.utime(tmp_path / "bin/program", (1, 1))
    assert FileRecords(tmp_path).whole("bin/program")
    assert not FileRecords(tmp_path).whole("bin/other")


def test_record_refuses_other_content_of_equal_size(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    record = Record.of(file)
    file.write_bytes(b"two")
    os.utime(file, (1, 1))
    assert not record.matches(file)


def test_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with pytest.raises(ValueError, match="broken"), lock_file(lock, waiting=pytest.fail):
        raise ValueError("broken")
    with lock_file(lock, waiting=pytest.fail):
        pass
