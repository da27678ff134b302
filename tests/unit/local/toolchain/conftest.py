"""A fake `go` that records the packages it builds, and creates programs of one line."""

from pathlib import Path

import pytest

_GO = """#!/bin/sh
case "$1" in
env) printf 'go1.99.1\\nlinux\\namd64\\n' ;;
mod) printf '{"Dir": "/modules/cluster-api"}' ;;
build)
  while [ $# -gt 1 ]; do [ "$1" = -o ] && out=$2; shift; done
  if grep -qsx "$1" FOLDER/failing; then cat FOLDER/message >&2; printf half > "$out"; exit 1; fi
  echo "$1" >> FOLDER/built
  printf '#!/bin/sh\\necho %s "$@"\\n' "$1" > "$out"; chmod +x "$out" ;;
esac
"""


class FakeGo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "go"
        program.write_text(_GO.replace("FOLDER", str(folder)))
        program.chmod(0o755)

    def built(self) -> list[str]:
        """Return the packages built since the last call."""
        notes = self.folder / "built"
        packages = notes.read_text().split() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return packages

    def fail(self, package: str, message: str) -> None:
        (self.folder / "failing").write_text(f"{package}\n")
        (self.folder / "message").write_text(message)

    def repair(self) -> None:
        (self.folder / "failing").unlink()


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return FakeGo(folder)
