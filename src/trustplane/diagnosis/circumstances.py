"""Refine a statement by circumstances: unpacking, a public host, a side of the handshake, an answer of a gateway."""

import re
from dataclasses import replace
from typing import Final

from trustplane.diagnosis.cause import Actor, Code, Confidence
from trustplane.diagnosis.layer import Kind, Role
from trustplane.diagnosis.message_parser import ParsedMessage
from trustplane.diagnosis.public_hosts import is_public
from trustplane.diagnosis.vocabulary.certificates import NOT_TRUSTED
from trustplane.diagnosis.vocabulary.phrase import Statement

_LOCAL: Final = ("operation not permitted", "broken pipe", "input/output error")
# Errors of system calls, and of Windows' importer of layers: neither a full disk nor damaged content.
_FILE_ERROR: Final = re.compile(
    r": (?:not a directory|no such file or directory|directory not empty|file exists|operation not supported"
    r"|file name too long|too many levels of symbolic links|invalid cross-device link)\b|hcsshim::"
)
_STORAGE: Final = re.compile(
    r"failed to mount|mount callback|parent snapshot|failed to stat parent|read-only file system"
)
_WINDOWS: Final = re.compile(r"/var/lib/[^\n]{0,300}(?:/Files/|\.dll\b|/Windows/)")
_STORAGE_STEP: Final = (
    "on the node: journalctl -u {unit} --since -1h; df -h {data}   # then pull again; if it fails again, restart {unit}"
)
_WIRE: Final = frozenset(
    {Code.CONNECTION_TIMEOUT, Code.CONNECTION_REFUSED, Code.CONNECTION_RESET, Code.NETWORK_UNREACHABLE}
)
_UNTRUSTED: Final = frozenset({*NOT_TRUSTED, Code.TOKEN_SERVICE_UNTRUSTED, Code.BLOB_HOST_UNTRUSTED})
_ODD: Final = frozenset({Code.NAME_MISMATCH, Code.NO_SUBJECT_ALT_NAME})
_GATEWAY: Final = re.compile(r"\b50[234]\b")
_VERSION: Final = re.compile(r"tls: server selected unsupported protocol version (?P<version>30[1-4])\b")
_DEFAULT: Final = re.compile(
    r"(?P<ingress>\bingress\.local\b|Kubernetes Ingress Controller Fake Certificate)"
    r"|TRAEFIK DEFAULT CERT|\.traefik\.default\b"
)
_HELM: Final = re.compile(
    r"(?:UPGRADE|INSTALLATION|ROLLBACK) FAILED: (?:[\w -]{1,60}: )?(?:context deadline exceeded|timed out)"
)


def refine_unpacking(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Blame the storage for errors of the kernel while unpacking, which networks report with the same text."""
    if not any(layer.kind is Kind.UNPACK for layer in parsed.layers):
        return _refine_storage(parsed, statement)
    text = statement.text.lower()
    is_local = any(text.startswith(error) or error.startswith(text) for error in _LOCAL)
    if statement.kind is Kind.CONNECTION and is_local:
        reason = "the node's kernel reports it while unpacking"
        statement = replace(
            statement, kind=Kind.NODE, codes=(Code.UNPACK_FAILED,), reason=reason, confidence=Confidence.MEDIUM
        )
    elif statement.codes[0] is Code.UNPACK_FAILED and _FILE_ERROR.search(statement.text):
        reason = "the node's file system reports it while unpacking"
        statement = replace(statement, codes=(Code.UNPACK_FAILED,), reason=reason)
    elif statement.codes == (Code.REGISTRY_ERROR,):
        reason = "the node's snapshotter reports it while unpacking; some snapshotters ask the registry again"
        statement = replace(statement, codes=(Code.UNPACK_FAILED, Code.REGISTRY_ERROR), reason=reason)
    elif statement.codes == (Code.CONNECTION_CLOSED,):
        statement = replace(statement, codes=(Code.CONNECTION_CLOSED, Code.UNPACK_FAILED))
    if Code.UNPACK_FAILED in statement.codes and _WINDOWS.search(parsed.text):
        reason = f"{statement.reason}; the paths are those of an image for Windows"
        return replace(statement, codes=(Code.UNPACK_FAILED, Code.PLATFORM_MISSING), reason=reason)
    return _refine_storage(parsed, statement)


def _refine_storage(parsed: ParsedMessage, statement: Statement) -> Statement:
    if statement.codes[0] is not Code.UNPACK_FAILED or not _STORAGE.search(parsed.text):
        return statement
    return replace(statement, actor=Actor.CLUSTER_OWNER, step=_STORAGE_STEP)


def refine_public_host(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Blame interception for a certificate that a public host does not serve, and a missing proxy for silence."""
    endpoint = parsed.endpoint
    is_named = bool(endpoint.path) or endpoint.host in statement.text  # not only by a short image name
    if endpoint.role is Role.PROXY or not is_named or not is_public(endpoint.host):
        return statement
    codes = set(statement.codes)
    if codes & _WIRE and len(codes) == 1:
        step = (
            "on the node: systemctl show {unit} -p Environment   # if the node needs a proxy, HTTPS_PROXY must be set "
            "here, not only in the shell; without one, check the firewall: curl -v https://{address}/v2/"
        )
        return replace(statement, step=step)
    if statement.kind is not Kind.CERTIFICATE:
        return statement
    if codes & _UNTRUSTED or codes == {Code.WEAK_CERTIFICATE}:
        ordered = (Code.TLS_INTERCEPTED, *statement.codes)
    elif codes <= _ODD:
        ordered = (*statement.codes, Code.TLS_INTERCEPTED)
    else:
        return statement
    reason = f"{statement.reason}; {endpoint.host} itself has a certificate of a public CA"
    return replace(statement, codes=ordered, reason=reason)


def refine_tls_version(_parsed: ParsedMessage, statement: Statement) -> Statement:
    """Name the side that insists on another version of TLS."""
    match = _VERSION.search(statement.text)
    if match is None:
        return statement
    if match["version"] in {"301", "302"}:
        name = "1.0" if match["version"] == "301" else "1.1"
        return replace(statement, reason=f"{match['version']} is TLS {name}, which the server selects and nodes refuse")
    name, other = ("1.2", "1.3") if match["version"] == "303" else ("1.3", "1.2")
    demand = f"{match['version']} is TLS {name}, which the client refuses: it insists on {other}"
    step = (
        f"allow TLS {name} in the client's configuration, or enable {other} on the registry; to test it: "
        f"openssl s_client -connect {{dial}} -tls1_{other[-1]} </dev/null"
    )
    return replace(statement, reason=demand, actor=Actor.CLUSTER_OWNER, step=step)


def refine_gateway(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Include the proxy for a gateway's status: over plain HTTP, a proxy answers in the registry's place."""
    is_ping = not parsed.endpoint.path and any("pinging" in layer.text for layer in parsed.layers)
    is_hidden = parsed.endpoint.is_plain or is_ping  # a ping's error does not say whether it used plain HTTP
    if statement.codes != (Code.REGISTRY_ERROR,) or not is_hidden or not _GATEWAY.search(statement.text):
        return statement
    reason = f"{statement.reason}; over plain HTTP, the node's proxy answers with the same status"
    return replace(statement, codes=(Code.REGISTRY_ERROR, Code.PROXY_FAILED), reason=reason)


def refine_default_certificate(_parsed: ParsedMessage, statement: Statement) -> Statement:
    """Recognise the default certificate of an ingress controller, served if the Ingress has no certificate."""
    match = _DEFAULT.search(statement.text)
    if match is None:
        return statement
    name = "ingress-nginx" if match["ingress"] else "Traefik"
    step = (
        "kubectl get ingress -A   # the Ingress for {host}: spec.tls[].secretName must name a TLS Secret in its own "
        f"namespace; {name} serves its default certificate without one"
    )
    reason = f"{statement.reason}; it is the default certificate of {name}"
    if statement.kind is Kind.CERTIFICATE and Code.NAME_MISMATCH not in statement.codes:
        return replace(statement, codes=(Code.NAME_MISMATCH, *statement.codes), reason=reason, step=step)
    return replace(statement, reason=reason, step=step)


def refine_proxy_setting(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Recognise a malformed proxy URL: Go then looks up its scheme, or speaks TLS to a proxy for plain HTTP."""
    if statement.codes != (Code.PROXY_FAILED,):
        return statement
    show = "on the node: systemctl show {unit} -p Environment   # "
    if parsed.endpoint.host in {"http", "https"}:
        step = f"{show}the proxy setting is malformed (host {parsed.endpoint.host}): correct the URL of HTTPS_PROXY"
        return replace(statement, reason="the scheme of the proxy's URL is doubled or incomplete", step=step)
    if "first record does not look like a TLS handshake" in statement.text:
        step = (
            f"{show}write http:// in HTTPS_PROXY: the proxy itself speaks plain HTTP; then: systemctl restart {{unit}}"
        )
        return replace(statement, step=step)
    return statement


def refine_helm(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Ignore Helm's time limit: Helm waited for pods, which may wait for anything."""
    if not _HELM.search(parsed.text) or Code.CONNECTION_TIMEOUT not in statement.codes or parsed.endpoint.host:
        return statement
    step = "kubectl get pods -n NAMESPACE   # Helm waited for them; then: kubectl describe pod NAME -n NAMESPACE"
    reason = "Helm's time limit passed; the message does not mention a pull"
    return replace(statement, codes=(Code.UNKNOWN,), reason=reason, confidence=Confidence.LOW, step=step)
