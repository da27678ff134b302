from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from trustplane.errors import HostError, UserError
from trustplane_local import creation, lock, toolchain
from trustplane_local.image.build import image_key as image_key
from trustplane_local.stack import STACK_FILE, Stack
from trustplane_local.toolchain import go as compiler
from trustplane_local.versions import DEFAULT_VERSIONS, VERSION_SETS
from trustplane_local.wishes import StackOptions


def test_an_empty_absent_or_abandoned_folder_can_become_a_stacks(tmp_path: Path) -> None:
    creation.refuse_foreign(tmp_path)
    creation.refuse_foreign(tmp_path / "absent")
    (tmp_path / lock.LOCK_NAME).touch()
    (tmp_path / "stack.json.new").touch()
    creation.refuse_foreign(tmp_path)


def test_a_folder_with_other_things_in_it_is_refused_untouched(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="it holds a, b, c and more"):
        creation.refuse_foreign(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_a_stacks_own_folder_is_not_foreign(tmp_path: Path) -> None:
    for name in ("stack.json", "etcd", lock.LOCK_NAME):
        (tmp_path / name).touch()
    creation.refuse_foreign(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}'])
def test_an_unreadable_description_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STACK_FILE).write_bytes(content)
    with pytest.raises(HostError, match="cannot be read"):
        creation.load_stack(tmp_path)


def test_the_cache_is_cold_until_the_node_image_of_these_versions_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = VERSION_SETS["capi-1.13"]
    assert creation.is_cold(tmp_path, DEFAULT_VERSIONS)
    (tmp_path / "image" / image_key(toolchain.locate_toolchain(tmp_path, DEFAULT_VERSIONS)) / "rootfs").mkdir(
        parents=True
    )
    assert not creation.is_cold(tmp_path, DEFAULT_VERSIONS)
    assert creation.is_cold(tmp_path, other)
    monkeypatch.setattr(compiler, "candidates", list)
    assert creation.is_cold(tmp_path, DEFAULT_VERSIONS)


@pytest.mark.parametrize(("option", "value"), [("subnet", "198.18.0.0/18"), ("versions", "capi-1.13")])
def test_a_stack_keeps_what_it_was_made_with(stack: Stack, option: str, value: str) -> None:
    stack.folder.mkdir()
    (stack.folder / STACK_FILE).write_bytes(msgspec.json.encode(stack, enc_hook=str))
    with pytest.raises(UserError, match=f"{value}") as error:
        creation.ensure_stack(stack.folder, stack.cache, StackOptions(**{option: value}), steps=NoSteps())
    assert getattr(stack, option) in error.value.what
    assert f"Leave --{option} out" in error.value.next_step


def test_a_stack_of_former_versions_of_trustplane_has_the_default(stack: Stack) -> None:
    content = msgspec.json.decode(msgspec.json.encode(stack, enc_hook=str))
    del content["versions"]
    stack.folder.mkdir()
    (stack.folder / STACK_FILE).write_bytes(msgspec.json.encode(content))
    assert creation.load_stack(stack.folder) == stack
    assert stack.versions == DEFAULT_VERSIONS.name


class NoSteps:
    """Nothing is done, so nothing is told."""

    def step(self, name: str) -> AbstractContextManager[None]:
        raise AssertionError(name)

    def build(self, step: str, done: int, total: int) -> None:
        raise AssertionError(step, done, total)

    def note(self, text: str) -> None:
        raise AssertionError(text)
