"""Build the recipe into the cache, one program after another. Each complete program stays in the cache."""

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
    """The complete build of a version set."""

    bin: Path  # folder of programs
    manifests: Path  # folder of core.yaml, bootstrap.yaml, control-plane.yaml: Cluster API's rendered kustomizations
    kubernetes_version: str  # such as v1.36.3
    key: str  # digest of everything that the programs depend on


def build_toolchain(cache: Path, progress: Progress, versions: Versions = DEFAULT_VERSIONS) -> Toolchain:
    """Build the programs that the cache lacks. Takes minutes the first time, and almost no time afterwards.

    Can be killed at any time, and run by several processes concurrently.

    Args:
        cache: Root of the build cache; the build writes several gigabytes to it and to Go's caches.
        progress: Called before each program.
        versions: The version set to build; other sets in the cache stay.

    Raises:
        HostError: Go, network or disk space is missing, or a build failed; with the next step.
    """
    plan = create_recipe(versions)
    go = _compiler(plan)
    toolchain = _toolchain(cache, versions, recipe_key(go.target, plan))
    folder = toolchain.bin.parent
    steps = len(list(_artefacts(plan)))
    try:
        with lock_file(
            folder.with_suffix(".lock"),
            waiting=lambda: progress("waiting for another build of the same programs", 0, steps),
        ):
            _Build(go, folder, plan).run(progress)
    except OSError as error:
        raise HostError(
            f"Cannot write to the build cache {folder}",
            why=str(error),
            next_step="Free disk space or choose another folder with TRUSTPLANE_CACHE, then run the same command again",
        ) from error
    return toolchain


def locate_toolchain(cache: Path, versions: Versions = DEFAULT_VERSIONS) -> Toolchain:
    """Return the paths of a version set's toolchain, built or not; build nothing.

    Raises:
        HostError: Go is missing: the paths depend on its version.
    """
    plan = create_recipe(versions)
    return _toolchain(cache, versions, recipe_key(_compiler(plan).target, plan))


def _compiler(plan: Recipe) -> compiler.Go:
    return compiler.find_go(required_go(plan), compiler.go_candidates())


def _toolchain(cache: Path, versions: Versions, name: str) -> Toolchain:
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
    folder: str  # in the Cluster API module
    module: Module

    @property
    def path(self) -> str:
        return f"manifests/{self.name}.yaml"


def _artefacts(plan: Recipe) -> Iterator[_Program | _Kustomization]:
    """Return the artefacts in build order: kustomizations are rendered by kubectl, which must exist before."""
    for module in plan.modules:
        yield from (_Program(name, module) for name in module.programs)
        if "kubectl" in module.programs:
            yield from (_Kustomization(name, folder, module) for name, folder in plan.kustomizations.items())


class _Build:
    """A build of a recipe, by the process that holds the lock."""

    def __init__(self, go: compiler.Go, folder: Path, plan: Recipe) -> None:
        self._go = go
        self._folder = folder
        self._artefacts = list(_artefacts(plan))

    def run(self, progress: Progress) -> None:
        """Build every missing or changed artefact."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob("*.tmp"):
            leftover.unlink()
        manifest = FileRecords(self._folder)
        total = len(self._artefacts)
        with (self._folder / "build.log").open("ab") as log:
            for done, artefact in enumerate(self._artefacts):
                if not manifest.is_complete(artefact.path):
                    progress(artefact.name, done, total)
                    manifest.add(artefact.path, self._make(artefact, log))
        progress("toolchain", total, total)

    def _make(self, artefact: _Program | _Kustomization, log: IO[bytes]) -> Path:
        """Build an artefact in a file named after this process: the compiler of a killed build may still be writing."""
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
        # Also downloads the sources if they were removed from Go's module cache.
        output = self._go.run(
            ["mod", "download", "-json", CLUSTER_API_MODULE], folder=kustomization.module.folder, log=log
        )
        source = Path(json.loads(output)["Dir"]) / kustomization.folder
        command: list[str | Path] = [self._folder / "bin" / "kubectl", "kustomize", source]
        draft.write_bytes(
            step.run_step("kubectl kustomize", command, folder=self._folder, log=log, causes=compiler.GO_FAILURES)
        )
