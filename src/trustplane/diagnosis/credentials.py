"""Which login of a pull secret the kubelet would use, and what a refusal means in the light of it. Pure.

Source: kubernetes/pkg/credentialprovider (keyring.go, config.go, secrets).
"""

import base64
import fnmatch
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from trustplane.api.dockerhub import NAMES
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.evidence import Case, PullSecret, SecretState
from trustplane.diagnosis.finding import Finding

CONFIG_JSON: Final = "kubernetes.io/dockerconfigjson"
CONFIG: Final = "kubernetes.io/dockercfg"
_KEYS: Final = {CONFIG_JSON: ".dockerconfigjson", CONFIG: ".dockercfg"}
_HUB: Final = NAMES
_SHOWN: Final = 5  # hosts that are named
_ECR_LIFETIME: Final = timedelta(hours=12)  # of a token of `aws ecr get-login-password`
_ECR: Final = ".dkr.ecr."
# Registries whose images are public unless somebody says otherwise: a wrong name is as likely as a missing login.
_PUBLIC: Final = (*_HUB, "ghcr.io", "quay.io", "gcr.io", "public.ecr.aws", "registry.gitlab.com", "mcr.microsoft.com")
# Registries for which kubelets of their cloud have a credential provider.
_PROVIDED: Final = (".amazonaws.com", ".amazonaws.com.cn", "gcr.io", ".pkg.dev", ".azurecr.io")
_REFUSALS: Final = frozenset({Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED, Code.PULL_SECRET_MALFORMED})
_OK, _NOT_FOUND = 200, 404


def judge(kind: str, data: Mapping[str, str], image: str) -> tuple[SecretState, str]:
    """Say what a Secret is worth for an image.

    Args:
        kind: The Secret's type.
        data: As on the wire: base64.
        image: The image's name; the registry's host and port begin it.

    Returns:
        The state, and why in words that hold no credentials.
    """
    key = _KEYS.get(kind)
    if key is None:
        return SecretState.WRONG_TYPE, f"its type is {kind or 'not set'}, not {CONFIG_JSON}"
    logins = _logins(kind, data.get(key, ""))
    if isinstance(logins, str):
        return SecretState.MALFORMED, f"{key} {logins}"
    fitting = [login for host, login in logins.items() if _fits(host, image)]
    if not fitting:
        named = ", ".join(map(_shown, list(logins)[:_SHOWN])) or "nobody"
        return SecretState.NO_KEY, f"it has logins for {named}"
    if not any(map(_is_login, fitting)):
        return SecretState.MALFORMED, "its login for this registry has no user and password that can be read"
    return SecretState.USABLE, ""


def _logins(kind: str, encoded: str) -> dict[str, Any] | str:
    """Return logins by host, or what is wrong."""
    try:
        content = json.loads(base64.b64decode(encoded, validate=True))
    except (ValueError, RecursionError):
        return "holds no JSON"
    logins = content.get("auths") if kind == CONFIG_JSON and isinstance(content, dict) else content
    return logins if isinstance(logins, dict) else "has no object `auths`"


def _is_login(login: object) -> bool:
    if not isinstance(login, dict):
        return False
    if login.get("username") and login.get("password"):
        return True
    try:
        user, colon, password = base64.b64decode(str(login.get("auth", ""))).partition(b":")
    except ValueError:
        return False
    return bool(user and colon and password)


def _fits(key: str, image: str) -> bool:
    """Tell whether the kubelet uses a login for an image: host by glob, equal ports, path as a prefix."""
    host, path = _split(key)
    wanted, wanted_path = _split(image)
    if {host, wanted} <= _HUB:
        return True
    name, _, port = host.partition(":")
    wanted_name, _, wanted_port = wanted.partition(":")
    globs, parts = name.split("."), wanted_name.split(".")
    same = len(globs) == len(parts) and all(map(fnmatch.fnmatchcase, parts, globs))
    path = "" if path.strip("/") in {"v1", "v2"} else path
    return same and port == wanted_port and wanted_path.startswith(path)


def _split(text: str) -> tuple[str, str]:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError:
        return text, ""
    return parts.netloc.rpartition("@")[2].lower(), parts.path.rstrip("/")


def _shown(key: str) -> str:
    return _split(key)[0]


def of_credentials(case: Case, codes: tuple[Code, ...]) -> Finding | None:
    """Narrow a refusal by what the pod could show; None where the words are not about that, or nothing was seen."""
    if case.secrets is None or not _REFUSALS & set(codes):
        return None
    usable = [one for one in case.secrets if one.state is SecretState.USABLE and one.named_by == "the pod"]
    return _refused(case, usable, codes) if usable else _not_shown(case, case.secrets, codes)


def _not_shown(case: Case, secrets: tuple[PullSecret, ...], codes: tuple[Code, ...]) -> Finding:
    words = "; ".join(map(described, secrets)) or "neither the pod nor its ServiceAccount names a pull secret"
    if any(one.state in {SecretState.WRONG_TYPE, SecretState.MALFORMED} for one in secrets):
        return Finding((Code.PULL_SECRET_MALFORMED,), words)
    if case.anonymous == _NOT_FOUND and Code.IMAGE_NOT_FOUND in codes:
        return Finding((Code.IMAGE_NOT_FOUND,), "the registry answers an anonymous request for it with 404")
    return _without_login(case, words, codes)


def _without_login(case: Case, words: str, codes: tuple[Code, ...]) -> Finding:
    """Tell a registry that wants a login from one that has no such image."""
    if Code.IMAGE_NOT_FOUND in codes and case.registry.endswith(_PUBLIC):
        return Finding(tuple(one for one in codes if one in {Code.IMAGE_NOT_FOUND, Code.AUTH_MISSING}), words)
    if case.registry.endswith(_PROVIDED) and codes != (Code.AUTH_MISSING,):
        others = tuple(one for one in codes if one not in {Code.AUTH_MISSING, Code.PULL_SECRET_MALFORMED})
        return Finding((Code.AUTH_MISSING, *others), f"{words}; nodes in that cloud may have a login of their own")
    if Code.IMAGE_NOT_FOUND in codes and not case.anonymous:
        return Finding((Code.AUTH_MISSING, Code.IMAGE_NOT_FOUND), words)
    if codes == (Code.ACCESS_DENIED,):
        return _forbidden(case, words)
    return Finding((Code.AUTH_MISSING,), words)


def _forbidden(case: Case, words: str) -> Finding:
    """Read a 403 to who shows nothing: a registry that asks for logins may mean that."""
    reason = f"{words}; some registries answer 403 to that"
    if case.challenge:
        return Finding((Code.AUTH_MISSING,), f"{reason}, and this one asks for a login at /v2/", is_certain=False)
    return Finding((Code.AUTH_MISSING, Code.ACCESS_DENIED), reason)


def _refused(case: Case, usable: list[PullSecret], codes: tuple[Code, ...]) -> Finding:
    words = "; ".join(map(described, usable))
    ages = [case.now - one.changed for one in usable if one.changed]
    if _ECR in case.registry and ages and min(ages) > _ECR_LIFETIME:
        hours = int(min(ages).total_seconds() // 3600)
        return Finding((Code.AUTH_REJECTED,), f"{words}; it was written {hours} h ago, and ECR's logins last 12 h")
    if _ECR in case.registry and ages and Code.ACCESS_DENIED in codes and Code.AUTH_MISSING not in codes:
        return Finding((Code.ACCESS_DENIED,), f"{words}; it is as young as a login for ECR has to be")
    left = tuple(one for one in codes if one not in {Code.AUTH_MISSING, Code.PULL_SECRET_MALFORMED})
    if not left:
        when = "; it has one now: it may be newer than the pull"
        return Finding(codes, f"{words}{when}", is_certain=False)
    if case.challenge == "basic" and Code.AUTH_REJECTED in left:
        return Finding((Code.AUTH_REJECTED,), f"{words}; the registry asks for user and password itself, and refuses")
    if left == (Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND) and not case.registry.endswith(_PUBLIC):
        reason = f"{words}; where there is no such project, a registry that hides what is private answers so, too"
        return Finding((Code.ACCESS_DENIED,), reason, is_certain=False)
    return Finding(left, words)


def described(secret: PullSecret) -> str:
    """Return a pull secret in words."""
    detail = f": {secret.detail}" if secret.detail else ""
    named = "" if secret.named_by == "the pod" else f" (named by {secret.named_by} only, not by the pod)"
    return f"pull secret {secret.name}{named} {secret.state}{detail}"
