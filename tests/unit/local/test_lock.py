import shutil
import threading
from pathlib import Path

from trustplane_local import lock


def test_the_second_waits_and_says_so(tmp_path: Path) -> None:
    told, entered = threading.Event(), threading.Event()

    def second() -> None:
        with lock.lock_folder(tmp_path, told.set):
            entered.set()

    with lock.lock_folder(tmp_path, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_nobody_is_told_to_wait_for_a_dead_process(tmp_path: Path) -> None:
    (tmp_path / lock.LOCK_NAME).touch()
    waited = []
    with lock.lock_folder(tmp_path, lambda: waited.append(True)):
        assert waited == []


def test_who_waited_for_a_down_holds_the_lock_of_the_new_folder(tmp_path: Path) -> None:
    folder, told = tmp_path / "state", threading.Event()
    seen: list[bool] = []

    def second() -> None:
        with lock.lock_folder(folder, told.set):
            seen.append((folder / lock.LOCK_NAME).exists())

    with lock.lock_folder(folder, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        shutil.rmtree(folder)
    thread.join(10)
    assert seen == [True]
    assert folder.stat().st_mode & 0o777 == 0o700
