"""Run `trustplane diagnose` for each pod of the laboratory: `python -m laboratory.live.diagnosing <QUESTIONS`.

A separate process, because it runs with an /etc/hosts that has the laboratory's names.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from trustplane.api.keys import Key
from trustplane.diagnosis.cause import Cause
from trustplane.diagnosis.decision import diagnose
from trustplane.diagnosis.evidence import gathering
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.diagnosis.facts import Case
from trustplane.errors import TransientError
from trustplane.registry.inspection import Follow

Json = dict[str, Any]
_ATTEMPTS = 3
_AT_ONCE = 2  # a user diagnoses one at a time
# This tests what an answer says, not how soon: other tests run on the same machine.
_LIMITS = TimeLimits.within(60)
_SKOPEO_SECONDS = 60
_ALL = Follow(hosts=True, issuers=True)


async def answers(asked: Json) -> list[Json]:
    """Diagnose every pod, and keep the order."""
    turn = asyncio.Semaphore(_AT_ONCE)
    async with gathering.open_access(
        Path(asked["kubeconfig"]), Key(*asked["cluster"]), use_ssh=True, follow=_ALL, limits=_LIMITS
    ) as access:
        return list(await asyncio.gather(*(_answer(access, turn, pod) for pod in asked["pods"])))


async def _answer(access: gathering.ClusterAccess, turn: asyncio.Semaphore, one: Json) -> Json:
    async with turn:
        started = time.monotonic()
        cases = await _cases(access, Key(one["namespace"], one["pod"]))
        seconds = time.monotonic() - started
        other = await asyncio.to_thread(_skopeo, one) if one["skopeo"] else ""
    case = cases[0] if cases else None
    return {
        "name": one["name"],
        "seconds": seconds,
        "unseen": _unseen(case) if case else [],
        "node": _told(case) if case else None,
        "skopeo": _told(replace(case, messages=(other,))) if case and other else None,
    }


async def _cases(access: gathering.ClusterAccess, pod: Key) -> list[Case]:
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(TransientError):
            return await gathering.gather_pod_cases(access, pod)
    return await gathering.gather_pod_cases(access, pod)


def _unseen(case: Case) -> list[str]:
    """Return the sources of evidence that gave none."""
    return [f"{report.source}: {report.text}" for report in case.reports if not report.is_available]


def _told(case: Case) -> Json:
    found = diagnose(case)
    return {
        "evidence": _codes(found.causes),
        "text": _codes(found.explanation.causes if found.explanation else ()),
        "authority": found.authority.fingerprint if found.authority else "",
    }


def _codes(causes: tuple[Cause, ...]) -> list[tuple[str, str]]:
    return [(str(cause.code), str(cause.confidence)) for cause in causes]


def _skopeo(one: Json) -> str:
    """Return the kubelet's message with CRI-O, which uses the same client as skopeo; "" if the pull succeeds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ca.crt").write_text(one["loaded"])
        login = Path(folder, "auth.json")
        login.write_text(json.dumps(one["login"]))
        credentials = f"--src-authfile={login}" if one["login"] else "--src-no-creds"
        target = f"dir:{folder}/image"
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", f"--src-cert-dir={folder}", credentials]
        process = subprocess.run(
            [*command, f"docker://{one['reference']}", target],
            text=True,
            capture_output=True,
            timeout=_SKOPEO_SECONDS,
            check=False,
        )
    if process.returncode == 0:
        return ""
    line = process.stderr.strip().splitlines()[-1]
    words = json.loads(line.partition(" msg=")[2])
    return f'Failed to pull image "{one["reference"]}": {words}'


if __name__ == "__main__":
    json.dump(asyncio.run(answers(json.load(sys.stdin))), sys.stdout)
