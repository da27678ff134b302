from pathlib import Path

import pytest

from trustplane_local import kernel


@pytest.mark.parametrize(("present", "after", "notes"), [(128, 8192, 1), (8192, 8192, 0), (65536, 65536, 0)])
def test_a_limit_is_raised_and_never_lowered(tmp_path: Path, present: int, after: int, notes: int) -> None:
    folder = tmp_path / "fs/inotify"
    folder.mkdir(parents=True)
    (folder / "max_user_instances").write_text(f"{present}\n")
    (folder / "max_user_watches").write_text("2000000\n")
    messages: list[str] = []
    kernel.raise_limits(messages.append, tmp_path)
    assert int((folder / "max_user_instances").read_text()) == after
    assert int((folder / "max_user_watches").read_text()) == 2000000
    assert len(messages) == notes
