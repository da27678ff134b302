"""Refine the statement of a message's innermost layer by the layers above it: they name host, proxy and request."""

import re
from dataclasses import replace
from typing import Final

from trustplane.diagnosis import circumstances
from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.endpoint import DOCKER_HUB, is_second_host, registry_of
from trustplane.diagnosis.layer import Kind, Role
from trustplane.diagnosis.message_parser import ParsedMessage
from trustplane.diagnosis.vocabulary.answers import HIDDEN_OR_ABSENT
from trustplane.diagnosis.vocabulary.certificates import NOT_TRUSTED
from trustplane.diagnosis.vocabulary.phrase import Statement

_CANDIDATE: Final = re.compile(r'candidate authority certificate "(?P<name>[^"]{0,1024})"')
_UNTRUSTED: Final = {Role.TOKEN_SERVICE: Code.TOKEN_SERVICE_UNTRUSTED, Role.BLOB_STORE: Code.BLOB_HOST_UNTRUSTED}
_WIRE: Final = frozenset({Kind.DNS, Kind.CONNECTION, Kind.HTTP, Kind.TLS, Kind.CERTIFICATE})
_TRANSPORT: Final = frozenset({Kind.DNS, Kind.CONNECTION, Kind.HTTP})
_CANDIDATE_CODES: Final = frozenset({Code.CA_REKEYED, Code.CA_NOT_A_CA})
_CA_NAME: Final = re.compile(r"(?i:ca\b|root|issu|authority|^serial:)|CA")
_CHILD: Final = re.compile(r"reading manifest sha256:")


def refine(parsed: ParsedMessage) -> Statement | None:
    """Return the statement of the innermost layer, refined by the layers above it; None for an unknown message."""
    statement = parsed.statement
    if statement is None:
        return None
    for step in (
        _refine_proxy,
        _refine_plain_request,
        _refine_candidate,
        _refine_second_host,
        _refine_deadline,
        _refine_docker_hub,
        _refine_child_manifest,
        circumstances.refine_unpacking,
        circumstances.refine_public_host,
        circumstances.refine_tls_version,
        circumstances.refine_gateway,
        circumstances.refine_default_certificate,
        circumstances.refine_proxy_setting,
        circumstances.refine_helm,
    ):
        statement = step(parsed, statement)
    return statement


def _refine_proxy(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Blame the proxy for any network error on the way to it."""
    if statement.kind not in _WIRE or not any(layer.kind is Kind.PROXY for layer in parsed.layers):
        return statement
    return replace(statement, codes=(Code.PROXY_FAILED,), reason=f"on the way to the proxy: {statement.reason}")


def _refine_second_host(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Blame the registry's second host if that host is the one not trusted or not reached."""
    role = parsed.endpoint.role
    if not is_second_host(parsed.endpoint, parsed.image):
        return _refine_unnamed_host(parsed, statement)
    if statement.kind is Kind.CERTIFICATE:
        trust_codes = {*NOT_TRUSTED, Code.CA_REKEYED}
        codes = tuple(dict.fromkeys(_UNTRUSTED[role] if code in trust_codes else code for code in statement.codes))
        # All trust causes have the same code on a second host, so one code is certain.
        confidence = Confidence.HIGH if codes == (_UNTRUSTED[role],) else statement.confidence
        reason = f"{statement.reason}; the request went to the {role}"
        return replace(statement, codes=codes, confidence=confidence, reason=reason)
    if (statement.kind in _TRANSPORT or statement.codes == (Code.TLS_TIMEOUT,)) and role is Role.TOKEN_SERVICE:
        reason = f"{statement.reason}; the {role} itself may be down"
        return replace(statement, codes=(*statement.codes, Code.TOKEN_SERVICE_BROKEN), reason=reason)
    if Code.NOT_A_REGISTRY in statement.codes and role is Role.TOKEN_SERVICE:
        return replace(statement, codes=(Code.TOKEN_SERVICE_BROKEN, *statement.codes))
    return statement


def _refine_unnamed_host(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Include the second host if no layer names the host of the certificate."""
    untrusted = {Kind.TOKEN: Code.TOKEN_SERVICE_UNTRUSTED, Kind.BLOB: Code.BLOB_HOST_UNTRUSTED}
    second_hosts = [untrusted[layer.kind] for layer in parsed.layers if layer.kind in untrusted]
    if not second_hosts or parsed.endpoint.path or not set(NOT_TRUSTED) <= set(statement.codes):
        return statement
    reason = f"{statement.reason}; no layer names the host"
    return replace(statement, codes=(second_hosts[-1], *statement.codes), reason=reason)


def _refine_candidate(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Include a self-signed server if the candidate may be the server itself, with a renewed certificate."""
    match = _CANDIDATE.search(statement.text)
    if match is None or len(statement.codes) > 1:
        return statement
    reason = f'{statement.reason}: "{match["name"]}"'
    if statement.codes[0] not in _CANDIDATE_CODES or not _may_be_server(match["name"]):
        return replace(statement, reason=reason)
    codes = (Code.SELF_SIGNED_SERVER, *statement.codes)
    if match["name"] != parsed.endpoint.host:
        codes = codes[::-1]
    return replace(statement, codes=codes, reason=f"{reason}, which may be the name of a server")


def _may_be_server(name: str) -> bool:
    return " " not in name and not _CA_NAME.search(name)


def _refine_plain_request(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Include plain HTTP, since TLS servers close a connection with a plain request."""
    if not parsed.endpoint.is_plain or not set(statement.codes) <= {Code.CONNECTION_CLOSED, Code.CONNECTION_RESET}:
        return statement
    reason = f"{statement.reason}; the request used plain HTTP, which a TLS server does not answer"
    return replace(statement, codes=(*statement.codes, Code.PLAIN_HTTP), reason=reason)


def _refine_deadline(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Blame the connection if the deadline passed while dialling."""
    above = parsed.layers[-2].text if len(parsed.layers) > 1 else ""
    if statement.kind is Kind.HTTP and above.startswith("dial tcp") and Code.CONNECTION_TIMEOUT in statement.codes:
        return replace(statement, codes=(Code.CONNECTION_TIMEOUT,), reason="the time limit passed while dialling")
    return statement


def _refine_docker_hub(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Rank a wrong name before a missing pull secret: Docker Hub denies access to images that do not exist."""
    is_hub = registry_of(parsed.image) == DOCKER_HUB
    if not is_hub or not set(HIDDEN_OR_ABSENT) <= set(statement.codes):
        return statement
    others = tuple(code for code in statement.codes if code is not Code.IMAGE_NOT_FOUND)
    return replace(statement, codes=(Code.IMAGE_NOT_FOUND, *others))


def _refine_child_manifest(parsed: ParsedMessage, statement: Statement) -> Statement:
    """Blame the registry's content if the missing manifest is one that the image's index lists."""
    is_child = "@" not in parsed.image and any(_CHILD.search(layer.text) for layer in parsed.layers)
    if not is_child or statement.codes != (Code.IMAGE_NOT_FOUND,):
        return statement
    codes = (Code.BLOB_MISSING, Code.IMAGE_NOT_FOUND)
    reason = f"{statement.reason}; the request had a digest that is not in the image reference"
    return replace(statement, codes=codes, confidence=Confidence.MEDIUM, reason=reason)
