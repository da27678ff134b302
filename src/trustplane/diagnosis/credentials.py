"""Decide which login of a pull secret the kubelet uses, and what a refusal by the registry then means. Pure.

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
from trustplane.diagnosis.conclusion import Conclusion
from trustplane.diagnosis.facts import Case, PullSecret, SecretState
from trustplane.diagnosis.groups import REFUSED

CONFIG_JSON: Final = "kubernetes.io/dockerconfigjson"
CONFIG: Final = "kubernetes.io/dockercfg"
_KEYS: Final = {CONFIG_JSON: ".dockerconfigjson", CONFIG: ".dockercfg"}
_HUB: Final = NAMES
_MAX_HOSTS: Final = 5  # in a text
_ECR_LIFETIME: Final = timedelta(hours=12)  # of a token from `aws ecr get-login-password`
_ECR: Final = ".dkr.ecr."
# Registries with public images by default: a wrong name is as likely as a missing login.
_PUBLIC: Final = (*_HUB, "ghcr.io", "quay.io", "gcr.io", "public.ecr.aws", "registry.gitlab.com", "mcr.microsoft.com")
# Registries for which kubelets in the same cloud have a credential provider.
_PROVIDED: Final = (".amazonaws.com", ".amazonaws.com.cn", "gcr.io", ".pkg.dev", ".azurecr.io")
_OK, _NOT_FOUND = 200, 404


def assess_secret(kind: str, data: Mapping[str, str], image: str) -> tuple[SecretState, str]:
    """Assess the usability of a Secret for an image.

    Args:
        kind: The Secret's type.
        data: Its data, base64.
        image: The image reference, with the registry's host and port.

    Returns:
        The state, and the reason for it, without credentials.
    """
    key = _KEYS.get(kind)
    if key is None:
        return SecretState.WRONG_TYPE, f"its type is {kind or 'not set'}, not {CONFIG_JSON}"
    logins = _logins(kind, data.get(key, ""))
    if isinstance(logins, str):
        return SecretState.MALFORMED, f"{key} {logins}"
    matching = [login for host, login in logins.items() if _matches(host, image)]
    if not matching:
        hosts = ", ".join(map(_host, list(logins)[:_MAX_HOSTS]))
        return SecretState.NO_KEY, f"it has logins for {hosts}" if hosts else "it has no logins"
    if not any(map(_is_login, matching)):
        return SecretState.MALFORMED, "its login for this registry has no readable user and password"
    return SecretState.USABLE, ""


def _logins(kind: str, encoded: str) -> dict[str, Any] | str:
    """Return the logins by host, or the error."""
    try:
        content = json.loads(base64.b64decode(encoded, validate=True))
    except (ValueError, RecursionError):
        return "contains no valid JSON"
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


def _matches(key: str, image: str) -> bool:
    """Return whether the kubelet uses a login for an image: host by glob, equal ports, path as a prefix."""
    host, path = _split(key)
    registry, image_path = _split(image)
    if {host, registry} <= _HUB:
        return True
    name, _, port = host.partition(":")
    registry_name, _, registry_port = registry.partition(":")
    globs, parts = name.split("."), registry_name.split(".")
    is_match = len(globs) == len(parts) and all(map(fnmatch.fnmatchcase, parts, globs))
    path = "" if path.strip("/") in {"v1", "v2"} else path
    return is_match and port == registry_port and image_path.startswith(path)


def _split(text: str) -> tuple[str, str]:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError:
        return text, ""
    return parts.netloc.rpartition("@")[2].lower(), parts.path.rstrip("/")


def _host(key: str) -> str:
    return _split(key)[0]


def conclude_from_credentials(case: Case, codes: tuple[Code, ...]) -> Conclusion | None:
    """Narrow a refusal by the pod's pull secrets; None if the codes are not a refusal, or the secrets are unknown."""
    if case.secrets is None or not REFUSED & set(codes):
        return None
    usable = [secret for secret in case.secrets if is_used(secret)]
    return _with_login(case, usable, codes) if usable else _without_usable_secret(case, case.secrets, codes)


def is_used(secret: PullSecret) -> bool:
    """Return whether the kubelet uses this login: not one that a ServiceAccount got after the pod was created."""
    return secret.state is SecretState.USABLE and secret.named_by == "the pod"


def _without_usable_secret(case: Case, secrets: tuple[PullSecret, ...], codes: tuple[Code, ...]) -> Conclusion:
    reason = "; ".join(map(_describe, secrets)) or "neither the pod nor its ServiceAccount names a pull secret"
    if any(secret.state in {SecretState.WRONG_TYPE, SecretState.MALFORMED} for secret in secrets):
        return Conclusion((Code.PULL_SECRET_MALFORMED,), reason)
    if case.anonymous == _NOT_FOUND and Code.IMAGE_NOT_FOUND in codes:
        return Conclusion((Code.IMAGE_NOT_FOUND,), "the registry answers an anonymous request for the image with 404")
    return _without_login(case, reason, codes)


def _without_login(case: Case, reason: str, codes: tuple[Code, ...]) -> Conclusion:
    """Distinguish a registry that requires a login from one that does not have the image."""
    if Code.IMAGE_NOT_FOUND in codes and case.registry.endswith(_PUBLIC):
        return Conclusion(tuple(code for code in codes if code in {Code.IMAGE_NOT_FOUND, Code.AUTH_MISSING}), reason)
    if case.registry.endswith(_PROVIDED) and codes != (Code.AUTH_MISSING,):
        return Conclusion(
            (Code.AUTH_MISSING, *_other_codes(codes)), f"{reason}; nodes in that cloud may have their own login"
        )
    if Code.IMAGE_NOT_FOUND in codes and not case.anonymous:
        return Conclusion((Code.AUTH_MISSING, Code.IMAGE_NOT_FOUND), reason)
    if codes == (Code.ACCESS_DENIED,):
        return _forbidden(case, reason)
    return Conclusion((Code.AUTH_MISSING,), reason)


def _other_codes(codes: tuple[Code, ...]) -> tuple[Code, ...]:
    return tuple(code for code in codes if code not in {Code.AUTH_MISSING, Code.PULL_SECRET_MALFORMED})


def _forbidden(case: Case, reason: str) -> Conclusion:
    """Interpret a 403 to an anonymous request: some registries use it to ask for a login."""
    reason = f"{reason}; some registries answer this with 403"
    if case.challenge:
        return Conclusion((Code.AUTH_MISSING,), f"{reason}, and this one asks for a login at /v2/", is_certain=False)
    return Conclusion((Code.AUTH_MISSING, Code.ACCESS_DENIED), reason)


def _with_login(case: Case, usable: list[PullSecret], codes: tuple[Code, ...]) -> Conclusion:
    reason = "; ".join(map(_describe, usable))
    ages = [case.now - secret.changed for secret in usable if secret.changed]
    if _ECR in case.registry and ages and min(ages) > _ECR_LIFETIME:
        hours = int(min(ages).total_seconds() // 3600)
        return Conclusion(
            (Code.AUTH_REJECTED,), f"{reason}; it was written {hours} h ago, and ECR logins expire after 12 h"
        )
    if _ECR in case.registry and ages and Code.ACCESS_DENIED in codes and Code.AUTH_MISSING not in codes:
        return Conclusion((Code.ACCESS_DENIED,), f"{reason}; it is younger than 12 h, the lifetime of an ECR login")
    others = _other_codes(codes)
    if not others:
        return Conclusion(codes, f"{reason} now; the login may be newer than the pull", is_certain=False)
    if case.challenge == "basic" and Code.AUTH_REJECTED in others:
        return Conclusion(
            (Code.AUTH_REJECTED,), f"{reason}; the registry itself asks for user and password, and rejects them"
        )
    if others == (Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND) and not case.registry.endswith(_PUBLIC):
        reason = f"{reason}; a registry that hides private projects gives the same answer if the project does not exist"
        return Conclusion((Code.ACCESS_DENIED,), reason, is_certain=False)
    return Conclusion(others, reason)


def _describe(secret: PullSecret) -> str:
    detail = f": {secret.detail}" if secret.detail else ""
    named = "" if secret.named_by == "the pod" else f" (named only by {secret.named_by}, not by the pod)"
    return f"pull secret {secret.name}{named} {secret.state}{detail}"
