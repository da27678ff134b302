"""What a cause of a failed pull proves about TLS: the reading of `diagnosis`, folded into verdicts.

`verdict` decides which part of a message the client itself wrote, and for which host. What that part says is read here,
by the vocabulary of `diagnosis`: a phrase that one of them knows, both know.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.groups import ANSWERED, CHAIN, FILE, TRUST
from trustplane.diagnosis.message_parser import parse_message

_MAX_STATEMENT: Final = 1000  # characters; a statement begins with its phrase, and untrusted names follow
_MAX_PHRASE: Final = 20  # characters that show where a statement begins
_HINT: Final = " (possibly because of"  # quotes a second error; the first one decides


class RefusalReason(enum.StrEnum):
    """Why a client does not trust a server."""

    UNKNOWN_AUTHORITY = "UnknownAuthority"
    EXPIRED = "Expired"
    NOT_YET_VALID = "NotYetValid"
    NAME_MISMATCH = "NameMismatch"
    INVALID_CHAIN = "InvalidChain"  # a rule of RFC 5280 that Go enforces: key usage, constraints, path length, ...
    CA_FILE = "CAFile"  # the node's CA file for this host is unusable


_REASONS: Final = MappingProxyType(
    {
        Code.CA_NOT_A_CA: RefusalReason.INVALID_CHAIN,
        Code.CERTIFICATE_EXPIRED: RefusalReason.EXPIRED,
        Code.CERTIFICATE_NOT_YET_VALID: RefusalReason.NOT_YET_VALID,
        Code.NAME_MISMATCH: RefusalReason.NAME_MISMATCH,
        Code.NO_SUBJECT_ALT_NAME: RefusalReason.NAME_MISMATCH,
    }
)
REFUSALS: Final[Mapping[Code, RefusalReason]] = MappingProxyType(
    {
        **dict.fromkeys(CHAIN, RefusalReason.INVALID_CHAIN),
        **dict.fromkeys(TRUST, RefusalReason.UNKNOWN_AUTHORITY),
        **dict.fromkeys(FILE, RefusalReason.CA_FILE),
        **_REASONS,
    }
)
# TLS was accepted, if the registry itself or its second host answered.
ACCEPTED: Final = (ANSWERED - {Code.RATE_LIMITED}) | {
    Code.BLOB_MISSING,
    Code.DIGEST_MISMATCH,
    Code.MANIFEST_UNSUPPORTED,
    Code.NOT_A_REGISTRY,
    Code.PLATFORM_MISSING,
    Code.TOKEN_SERVICE_BROKEN,
}
UNREACHABLE: Final = frozenset(
    {
        Code.CONNECTION_CLOSED,
        Code.CONNECTION_REFUSED,
        Code.CONNECTION_RESET,
        Code.CONNECTION_TIMEOUT,
        Code.DNS_FAILURE,
        Code.DNS_NOT_FOUND,
        Code.NETWORK_UNREACHABLE,
        Code.TLS_TIMEOUT,
    }
)


def refusal_reason(statement: str) -> RefusalReason:
    """Return why a client refused a certificate; `statement` begins with `x509: `."""
    text = statement.partition(_HINT)[0][:_MAX_STATEMENT]
    read = parse_message(text)[0].statement
    is_first = read is not None and text.startswith(read.text[:_MAX_PHRASE])  # names in certificates follow
    return (
        REFUSALS.get(read.codes[0], RefusalReason.INVALID_CHAIN) if read and is_first else RefusalReason.INVALID_CHAIN
    )


def is_unreachable(statement: str) -> bool:
    """Return whether an error of a request means that no TLS session was possible."""
    read = parse_message(statement[:_MAX_STATEMENT])[0].statement
    return read is not None and read.codes[0] in UNREACHABLE
