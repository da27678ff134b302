"""Image references are split as Go's reference parser splits them, whatever the text."""

import json
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from trustplane.api.image_reference import is_image, parse_image
from trustplane_local.toolchain.go import find_go, go_candidates

FOLDER = Path(__file__).parent
HEX = "0123456789abcdef"
PARTS = [
    "docker.io", "index.docker.io", "registry-1.docker.io", "localhost", "Localhost", "harbor.test", "HARBOR.test",
    "a_b.c", "a-.b", "10.0.0.1", "[fd00::1]", "[::1", "library", "team", "app", "App", "a__b", "a--b", "a-_b", "a..b",
    "é", "latest", "1.0", "_x", "-x", "443", "5000", "x" * 128, "x" * 129, "y" * 250, "sha256", "sha512", "md5",
    HEX * 4, HEX * 8, HEX * 2, HEX.upper() * 4, "", " ", "\n", "%2F",
]  # fmt: skip
SEPARATORS = ["/", "/", "/", ":", ":", "@", "", ".", "//"]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("references") / "references"
    go = find_go((1, 26), go_candidates()).program
    environment = os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    subprocess.run([go, "build", "-o", built, "."], cwd=FOLDER, env=environment, check=True, timeout=600)
    return built


def go_answers(program: Path, texts: Sequence[str]) -> list[dict[str, str] | None]:
    lines = "".join(f"{json.dumps(text)}\n" for text in texts)
    completed = subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=120)
    return [json.loads(line) for line in completed.stdout.splitlines()]


def our_answer(text: str) -> dict[str, str] | None:
    image = parse_image(text)
    parts = {"host": image.host, "repository": image.repository, "tag": image.tag, "digest": image.digest}
    return parts if is_image(text) else None


def generated(chance: random.Random) -> str:
    parts = [chance.choice(PARTS)]
    for _ in range(chance.randint(0, 5)):
        parts += [chance.choice(SEPARATORS), chance.choice(PARTS)]
    return "".join(parts)


def test_references_are_split_as_go_splits_them(program: Path) -> None:
    seed = random.SystemRandom().randrange(1, 10**6)
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    texts = [*PARTS, *(generated(chance) for _ in range(20_000))]
    answers = dict(zip(texts, go_answers(program, texts), strict=True))
    assert sum(answer is not None for answer in answers.values()) > 500
    differing = {text: (our_answer(text), answer) for text, answer in answers.items() if our_answer(text) != answer}
    assert not differing, f"seed {seed}: {len(differing)} of {len(answers)} differ"
