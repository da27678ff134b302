import shutil
import threading
from pathlib import Path

from trustplane_local import lock


def test_a_second_command_reports_that_it_waits(tmp_path: Path) -> None:
    waiting, entered = threading.Event(), threading.Event()

    def second() -> None:
        with lock.lock_folder(tmp_path, waiting.set):
            entered.set()

    with lock.lock_folder(tmp_path, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    (tmp_path / lock.LOCK_NAME).touch()
    waited = []
    with lock.lock_folder(tmp_path, lambda: waited.append(True)):
        assert waited == []


def test_a_command_that_waited_for_down_locks_the_new_folder(tmp_path: Path) -> None:
    folder, waiting = tmp_path / "state", threading.Event()
    exists: list[bool] = []

    def second() -> None:
        with lock.lock_folder(folder, waiting.set):
            exists.append((folder / lock.LOCK_NAME).exists())

    with lock.lock_folder(folder, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        shutil.rmtree(folder)
    thread.join(10)
    assert exists == [True]
    assert folder.stat().st_mode & 0o777 == 0o700
