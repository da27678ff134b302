"""Build the recipe into the cache: one program after the other, each kept as soon as it is whole."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trustplane.errors import HostError
from trustplane_local.toolchain import go as compiler
from trustplane_local.toolchain import step
from trustplane_local.toolchain.cache import FileRecords, lock_file
from trustplane_local.toolchain.progress import Progress
from trustplane_local.toolchain.recipe import CLUSTER_API_MODULE, Module, Recipe, create_recipe, recipe_key, required_go
from trustplane_local.versions import DEFAULT_VERSIONS, Versions


@dataclass(frozen=True)
class Toolchain:
    """Everything that is built from Go modules, whole and ready to run."""

    bin: Path  # folder of programs
    manifests: Path  # core.yaml, bootstrap.yaml, control-plane.yaml: Cluster API's kustomizations, rendered
    kubernetes_version: str  # such as v1.36.3
    key: str  # changes whenever any of the programs might


def build_toolchain(cache: Path, progress: Progress, versions: Versions = DEFAULT_VERSIONS) -> Toolchain:
    """Build what the cache lacks. Takes minutes the first time and next to nothing afterwards.

    May be killed at any time and run by several processes at once.

    Args:
        cache: root of the build cache; several gigabytes are written below it and to Go's own caches.
        progress: told before each program.
        versions: what to build; other sets in the cache stay as they are.

    Raises:
        HostError: no Go, no network, no disk space, ...: says what to do.
    """
    wanted = create_recipe(versions)
    go = _compiler(wanted)
    built = _place(cache, versions, recipe_key(go.target, wanted))
    folder = built.bin.parent
    steps = len(list(_artefacts(wanted)))
    try:
        with lock_file(
            folder.with_suffix(".lock"),
            waiting=lambda: progress("waiting for another build of the same programs", 0, steps),
        ):
            _Build(go, folder, wanted).run(progress)
    except OSError as error:
        raise HostError(
            f"Cannot write to the build cache {folder}",
            why=str(error),
            next_step="Free disk space or choose another folder with TRUSTPLANE_CACHE, then run the same command again",
        ) from error
    return built


def locate_toolchain(cache: Path, versions: Versions = DEFAULT_VERSIONS) -> Toolchain:
    """Return where the programs of a set are, or would be; nothing is built.

    Raises:
        HostError: no Go, which the place depends on.
    """
    wanted = create_recipe(versions)
    return _place(cache, versions, recipe_key(_compiler(wanted).target, wanted))


def _compiler(wanted: Recipe) -> compiler.Go:
    return compiler.find_go(required_go(wanted), compiler.go_candidates())


def _place(cache: Path, versions: Versions, name: str) -> Toolchain:
    folder = cache / "toolchain" / name
    return Toolchain(folder / "bin", folder / "manifests", versions.kubernetes, name)


@dataclass(frozen=True)
class _Program:
    name: str
    module: Module

    @property
    def path(self) -> str:
        return f"bin/{self.name}"


@dataclass(frozen=True)
class _Kustomization:
    name: str
    folder: str  # inside the Cluster API module
    module: Module

    @property
    def path(self) -> str:
        return f"manifests/{self.name}.yaml"


def _artefacts(wanted: Recipe) -> Iterator[_Program | _Kustomization]:
    """Return what is built, in order: rendering a kustomization needs the kubectl built before it."""
    for module in wanted.modules:
        yield from (_Program(name, module) for name in module.programs)
        if "kubectl" in module.programs:
            yield from (_Kustomization(name, folder, module) for name, folder in wanted.kustomizations.items())


class _Build:
    """One run over the recipe, by the process that holds the lock."""

    def __init__(self, go: compiler.Go, folder: Path, wanted: Recipe) -> None:
        self._go = go
        self._folder = folder
        self._artefacts = list(_artefacts(wanted))

    def run(self, progress: Progress) -> None:
        """Make every artefact that is missing or not as it was left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob("*.tmp"):
            leftover.unlink()
        manifest = FileRecords(self._folder)
        total = len(self._artefacts)
        with (self._folder / "build.log").open("ab") as log:
            for done, artefact in enumerate(self._artefacts):
                if not manifest.whole(artefact.path):
                    progress(artefact.name, done, total)
                    manifest.add(artefact.path, self._make(artefact, log))
        progress("toolchain", total, total)

    def _make(self, artefact: _Program | _Kustomization, log: IO[bytes]) -> Path:
        """Make one artefact under a name of this process alone: a compiler may outlive the run that started it."""
        draft = self._folder / f"{artefact.name}.{os.getpid()}.tmp"
        if isinstance(artefact, _Program):
            self._compile(artefact, draft, log)
        else:
            self._render(artefact, draft, log)
        return draft

    def _compile(self, program: _Program, draft: Path, log: IO[bytes]) -> None:
        package = program.module.programs[program.name]
        arguments = ["build", *program.module.flags, "-o", str(draft), package]
        self._go.run(arguments, folder=program.module.folder, log=log)

    def _render(self, kustomization: _Kustomization, draft: Path, log: IO[bytes]) -> None:
        # Also downloads the sources where Go's module cache lost them.
        answer = self._go.run(
            ["mod", "download", "-json", CLUSTER_API_MODULE], folder=kustomization.module.folder, log=log
        )
        source = Path(json.loads(answer)["Dir"]) / kustomization.folder
        command: list[str | Path] = [self._folder / "bin" / "kubectl", "kustomize", source]
        draft.write_bytes(
            step.run_step("kubectl kustomize", command, folder=self._folder, log=log, causes=compiler.GO_FAILURES)
        )
