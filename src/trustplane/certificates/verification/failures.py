"""The reasons for which Go refuses a certificate or a chain."""

import enum
from dataclasses import dataclass

from trustplane.certificates.verification.certificate import GoCertificate


class FailureReason(enum.Enum):
    """The rule that a certificate or chain violates."""

    MALFORMED = enum.auto()  # Go cannot parse a certificate of the server
    KEY_TOO_LARGE = enum.auto()
    UNSUPPORTED_KEY = enum.auto()
    UNHANDLED_CRITICAL_EXTENSION = enum.auto()
    NAME_MISMATCH = enum.auto()  # issuer and subject within the chain
    NOT_YET_VALID = enum.auto()
    EXPIRED = enum.auto()
    NOT_A_CA = enum.auto()
    PATH_LENGTH = enum.auto()
    INSECURE_ALGORITHM = enum.auto()
    SIGNATURE = enum.auto()  # made by another key
    HOST = enum.auto()
    KEY_USAGE = enum.auto()
    NAME_CONSTRAINT = enum.auto()
    POLICY = enum.auto()
    UNKNOWN_AUTHORITY = enum.auto()
    SIGNATURE_LIMIT = enum.auto()
    NO_CERTIFICATE = enum.auto()


@dataclass(frozen=True)
class ChainFailure:
    """A refusal: the rule, Go's message, and the certificate concerned."""

    reason: FailureReason
    message: str
    certificate: GoCertificate | None = None
