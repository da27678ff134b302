"""What `trustplane diagnose` answers to each pod of the laboratory: `python -m laboratory.live.diagnosing <QUESTIONS`.

A process of its own, since it runs where the laboratory's names are known: with an /etc/hosts of its own.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from trustplane.collectors import gathering
from trustplane.diagnosis.cause import Cause
from trustplane.diagnosis.decision import diagnose
from trustplane.diagnosis.evidence import Case
from trustplane.errors import TransientError
from trustplane.kube.resource import Key
from trustplane.registry.inspection import Follow

Json = dict[str, Any]
_AT_ONCE = 4  # a person asks for one
_ATTEMPTS = 3
_LATE = "no answer in "
_SKOPEO_SECONDS = 60
_ALL = Follow(hosts=True, issuers=True)


async def answers(asked: Json) -> list[Json]:
    """Answer for every pod; the order stays."""
    turn = asyncio.Semaphore(_AT_ONCE)
    async with gathering.open_access(
        Path(asked["kubeconfig"]), Key(*asked["cluster"]), use_ssh=True, follow=_ALL
    ) as access:
        return list(await asyncio.gather(*(_answer(access, turn, one) for one in asked["pods"])))


async def _answer(access: gathering.ClusterAccess, turn: asyncio.Semaphore, one: Json) -> Json:
    async with turn:
        for attempt in range(1, _ATTEMPTS + 1):
            started = time.monotonic()
            try:
                cases = await gathering.gather_pod_cases(access, Key(one["namespace"], one["pod"]))
            except TransientError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            if not any(_too_late(case) for case in cases):
                break
        seconds = time.monotonic() - started
        other = await asyncio.to_thread(_skopeo, one) if one["skopeo"] else ""
    case = cases[0] if cases else None
    return {
        "name": one["name"],
        "seconds": seconds,
        "late": _too_late(case) if case else [],
        "node": _told(case) if case else None,
        "skopeo": _told(replace(case, messages=(other,))) if case and other else None,
    }


def _too_late(case: Case) -> list[str]:
    """Return what was not seen in time, as the answer says it: on a busy machine, a person asks again."""
    return [f"{one.source}: {one.text}" for one in case.reports if not one.is_available and one.text.startswith(_LATE)]


def _told(case: Case) -> Json:
    found = diagnose(case)
    return {
        "evidence": _codes(found.causes),
        "text": _codes(found.explanation.causes if found.explanation else ()),
        "authority": found.authority.fingerprint if found.authority else "",
    }


def _codes(causes: tuple[Cause, ...]) -> list[tuple[str, str]]:
    return [(str(one.code), str(one.confidence)) for one in causes]


def _skopeo(one: Json) -> str:
    """Return what the kubelet would say with CRI-O, whose client is skopeo's; "" where the pull works."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ca.crt").write_text(one["loaded"])
        login = Path(folder, "auth.json")
        login.write_text(json.dumps(one["login"]))
        credentials = f"--src-authfile={login}" if one["login"] else "--src-no-creds"
        target = f"dir:{folder}/image"
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", f"--src-cert-dir={folder}", credentials]
        done = subprocess.run(
            [*command, f"docker://{one['reference']}", target],
            text=True,
            capture_output=True,
            timeout=_SKOPEO_SECONDS,
            check=False,
        )
    if done.returncode == 0:
        return ""
    line = done.stderr.strip().splitlines()[-1]
    words = json.loads(line.partition(" msg=")[2])
    return f'Failed to pull image "{one["reference"]}": {words}'


if __name__ == "__main__":
    json.dump(asyncio.run(answers(json.load(sys.stdin))), sys.stdout)
