from pathlib import Path

import pytest

from trustplane.errors import HostError, UserError
from trustplane.local import creation, lock
from trustplane.local.stack import FILE


def test_an_empty_absent_or_abandoned_folder_can_become_a_stacks(tmp_path: Path) -> None:
    creation.refuse_foreign(tmp_path)
    creation.refuse_foreign(tmp_path / "absent")
    (tmp_path / lock.NAME).touch()
    (tmp_path / "stack.json.new").touch()
    creation.refuse_foreign(tmp_path)


def test_a_folder_with_other_things_in_it_is_refused_untouched(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="it holds a, b, c and more"):
        creation.refuse_foreign(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_a_stacks_own_folder_is_not_foreign(tmp_path: Path) -> None:
    for name in ("stack.json", "etcd", lock.NAME):
        (tmp_path / name).touch()
    creation.refuse_foreign(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}'])
def test_an_unreadable_description_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(HostError, match="cannot be read"):
        creation.kept(tmp_path)


def test_the_cache_is_cold_until_the_node_image_is_whole(tmp_path: Path) -> None:
    assert creation.is_cold(tmp_path)
    (tmp_path / "image" / "key" / "rootfs").mkdir(parents=True)
    assert not creation.is_cold(tmp_path)
