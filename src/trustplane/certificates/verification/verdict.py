"""What a node decides about a server's chain, and why."""

import enum
from dataclasses import dataclass

from trustplane.certificates.verification.building import Chain
from trustplane.certificates.verification.certificate import GoCertificate


class Cause(enum.StrEnum):
    """Why a chain is refused; the codes are those of the diagnosis of image pulls."""

    ISSUER_NOT_TRUSTED = "issuer-not-trusted"
    SELF_SIGNED_SERVER = "self-signed-server"
    MISSING_INTERMEDIATE = "missing-intermediate"
    CA_REKEYED = "ca-rekeyed"
    CA_NOT_A_CA = "ca-not-a-ca"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    NAME_MISMATCH = "name-mismatch"
    NO_SUBJECT_ALT_NAME = "no-subject-alt-name"
    WRONG_KEY_USAGE = "wrong-key-usage"
    NAME_CONSTRAINT = "name-constraint"
    PATH_LENGTH = "path-length"
    WEAK_CERTIFICATE = "weak-certificate"
    UNKNOWN = "unknown"


class Role(enum.StrEnum):
    """Where in the chain a certificate stands."""

    SERVER = "server"
    INTERMEDIATE = "intermediate"
    ROOT = "root"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision about one served chain."""

    trusted: bool
    message: str = ""  # Go's error, word for word; empty when trusted
    cause: Cause | None = None
    also_possible: tuple[Cause, ...] = ()  # what fits the evidence as well, most likely first
    role: Role | None = None  # of the certificate that is to blame
    blamed: GoCertificate | None = None
    chain: Chain = ()  # trusted: the chain that counts, anchor last; else the longest path that could be built
    stopped: str = ""  # where and why building ended, for people
    anchors: tuple[str, ...] = ()  # SHA-256 fingerprints of the trusted ends of all chains, the first chain's first

    @property
    def anchor(self) -> str:
        """SHA-256 fingerprint of the entry that makes the chain trusted, or ""."""
        return self.anchors[0] if self.anchors else ""
