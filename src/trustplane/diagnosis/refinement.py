"""What the whole message adds to the words of its innermost layer: whose certificate, whose connection, which host."""

import re
from dataclasses import replace
from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.endpoint import DOCKER_HUB, is_elsewhere, registry_of
from trustplane.diagnosis.layer import Kind, Role
from trustplane.diagnosis.reading import Reading
from trustplane.diagnosis.vocabulary.answers import HIDDEN_OR_ABSENT
from trustplane.diagnosis.vocabulary.certificates import NOT_TRUSTED
from trustplane.diagnosis.vocabulary.phrase import Statement

_CANDIDATE: Final = re.compile(r'candidate authority certificate "(?P<name>[^"]{0,1024})"')
_UNTRUSTED: Final = {Role.TOKEN_SERVICE: Code.TOKEN_SERVICE_UNTRUSTED, Role.BLOB_STORE: Code.BLOB_HOST_UNTRUSTED}
_WIRE: Final = frozenset({Kind.DNS, Kind.CONNECTION, Kind.HTTP, Kind.TLS, Kind.CERTIFICATE})
_TRANSPORT: Final = frozenset({Kind.DNS, Kind.CONNECTION, Kind.HTTP})
_OF_CANDIDATES: Final = frozenset({Code.CA_REKEYED, Code.CA_NOT_A_CA})
_CA_NAME: Final = re.compile(r"(?i:ca\b|root|issu|authority|^serial:)|CA")
_CHILD: Final = re.compile(r"reading manifest sha256:")


def refine(reading: Reading) -> Statement | None:
    """Return what the innermost layer said, in the light of the layers above it."""
    said = reading.statement
    if said is None:
        return None
    for step in (_of_proxy, _of_plain_request, _of_candidate, _of_second_host, _of_deadline, _of_hub, _of_child):
        said = step(reading, said)
    return said


def _of_proxy(reading: Reading, said: Statement) -> Statement:
    """Blame the proxy for whatever goes wrong on the way to it."""
    if said.kind not in _WIRE or not any(one.kind is Kind.PROXY for one in reading.layers):
        return said
    return replace(said, codes=(Code.PROXY_FAILED,), reason=f"on the way to the proxy: {said.reason}")


def _of_second_host(reading: Reading, said: Statement) -> Statement:
    """Name the second host of a registry where it is that one which is not trusted, or not reached."""
    role = reading.endpoint.role
    if not is_elsewhere(reading.endpoint, reading.image):
        return _of_unnamed_host(reading, said)
    if said.kind is Kind.CERTIFICATE:
        of_trust = {*NOT_TRUSTED, Code.CA_REKEYED}
        codes = tuple(dict.fromkeys(_UNTRUSTED[role] if one in of_trust else one for one in said.codes))
        # Whichever it is of what the words stand for: it is that host's.
        confidence = Confidence.HIGH if codes == (_UNTRUSTED[role],) else said.confidence
        return replace(
            said, codes=codes, confidence=confidence, reason=f"{said.reason}; the request went to the {role}"
        )
    if (said.kind in _TRANSPORT or said.codes == (Code.TLS_TIMEOUT,)) and role is Role.TOKEN_SERVICE:
        reason = f"{said.reason}; the {role} itself may be down"
        return replace(said, codes=(*said.codes, Code.TOKEN_SERVICE_BROKEN), reason=reason)
    if Code.NOT_A_REGISTRY in said.codes and role is Role.TOKEN_SERVICE:
        return replace(said, codes=(Code.TOKEN_SERVICE_BROKEN, *said.codes))
    return said


def _of_unnamed_host(reading: Reading, said: Statement) -> Statement:
    """Count in the second host where no layer names whose certificate it was."""
    asked = {Kind.TOKEN: Code.TOKEN_SERVICE_UNTRUSTED, Kind.BLOB: Code.BLOB_HOST_UNTRUSTED}
    layers = [asked[one.kind] for one in reading.layers if one.kind in asked]
    if not layers or reading.endpoint.path or not set(NOT_TRUSTED) <= set(said.codes):
        return said
    return replace(said, codes=(layers[-1], *said.codes), reason=f"{said.reason}; no layer names the host")


def _of_candidate(reading: Reading, said: Statement) -> Statement:
    """Doubt the CA where the candidate may be the server itself, whose self-signed certificate was renewed."""
    found = _CANDIDATE.search(said.words)
    if found is None or len(said.codes) > 1:
        return said
    reason = f'{said.reason}: "{found["name"]}"'
    if said.codes[0] not in _OF_CANDIDATES or not _may_be_server(found["name"]):
        return replace(said, reason=reason)
    codes = (Code.SELF_SIGNED_SERVER, *said.codes)
    if found["name"] != reading.endpoint.host:
        codes = codes[::-1]
    return replace(said, codes=codes, reason=f"{reason}, which may be the name of a server")


def _may_be_server(name: str) -> bool:
    return " " not in name and not _CA_NAME.search(name)


def _of_plain_request(reading: Reading, said: Statement) -> Statement:
    """Count in that a TLS server ends a connection on which it is asked in plain HTTP."""
    if not reading.endpoint.is_plain or not set(said.codes) <= {Code.CONNECTION_CLOSED, Code.CONNECTION_RESET}:
        return said
    reason = f"{said.reason}; it was asked in plain HTTP, which a TLS server does not answer"
    return replace(said, codes=(*said.codes, Code.PLAIN_HTTP), reason=reason)


def _of_deadline(reading: Reading, said: Statement) -> Statement:
    """Blame the connection for a deadline that ended while dialling."""
    before = reading.layers[-2].words if len(reading.layers) > 1 else ""
    if said.kind is Kind.HTTP and before.startswith("dial tcp") and Code.CONNECTION_TIMEOUT in said.codes:
        return replace(said, codes=(Code.CONNECTION_TIMEOUT,), reason="the time was up while dialling")
    return said


def _of_hub(reading: Reading, said: Statement) -> Statement:
    """Rank for Docker Hub, which denies what does not exist: a wrong name is likelier there than a missing secret."""
    hub = registry_of(reading.image) == DOCKER_HUB
    if not hub or not set(HIDDEN_OR_ABSENT) <= set(said.codes) or Code.IMAGE_NOT_FOUND not in said.codes:
        return said
    others = tuple(one for one in said.codes if one is not Code.IMAGE_NOT_FOUND)
    return replace(said, codes=(Code.IMAGE_NOT_FOUND, *others))


def _of_child(reading: Reading, said: Statement) -> Statement:
    """Tell an image that is absent from a manifest that an index names and the registry has not."""
    child = "@" not in reading.image and any(_CHILD.search(one.words) for one in reading.layers)
    if not child or said.codes != (Code.IMAGE_NOT_FOUND,):
        return said
    reason = f"{said.reason}; it was asked for by a digest that the image's name does not have"
    return replace(said, codes=(Code.BLOB_MISSING, Code.IMAGE_NOT_FOUND), confidence=Confidence.MEDIUM, reason=reason)
