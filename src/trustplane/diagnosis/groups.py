"""Groups of causes that decisions treat alike."""

from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.vocabulary.certificates import NOT_TRUSTED

SECOND_HOST: Final = {
    Role.TOKEN_SERVICE: Code.TOKEN_SERVICE_UNTRUSTED,
    Role.BLOB_STORE: Code.BLOB_HOST_UNTRUSTED,
}
# The chain decides between these regardless of the message: Go often reports only the last candidate it tried.
TRUST: Final = frozenset({*NOT_TRUSTED, *SECOND_HOST.values(), Code.CA_REKEYED, Code.CA_NOT_A_CA, Code.TLS_INTERCEPTED})
CHAIN: Final = TRUST | {
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_NOT_YET_VALID,
    Code.NAME_MISMATCH,
    Code.NO_SUBJECT_ALT_NAME,
    Code.WRONG_KEY_USAGE,
    Code.NAME_CONSTRAINT,
    Code.PATH_LENGTH,
    Code.WEAK_CERTIFICATE,
}
FILE: Final = frozenset({Code.CA_FILE_MALFORMED, Code.CA_FILE_UNREADABLE})
# The answers of a registry: containerd reports them even if it could not connect to a mirror.
ANSWERED: Final = frozenset(
    {
        Code.IMAGE_NOT_FOUND,
        Code.AUTH_MISSING,
        Code.AUTH_REJECTED,
        Code.ACCESS_DENIED,
        Code.PULL_SECRET_MALFORMED,
        Code.RATE_LIMITED,
        Code.REGISTRY_ERROR,
    }
)
REFUSED: Final = frozenset({Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED, Code.PULL_SECRET_MALFORMED})
# A TLS alert appears as one of these if the connection ends before the client reads the alert.
UNREAD_ALERT: Final = frozenset({Code.CONNECTION_CLOSED, Code.CONNECTION_RESET})
ON_NODE: Final = (Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE)


def leaves_host_open(codes: tuple[Code, ...]) -> bool:
    """Return whether a message with these causes leaves open which host of the registry failed."""
    others = set(codes) - {Code.TLS_INTERCEPTED}  # a way to fail, not another host
    return bool(set(SECOND_HOST.values()) & others) and len(others) > 1
