"""The verdict of a node on a server's certificate chain."""

import enum
from dataclasses import dataclass

from trustplane.certificates.verification.building import Chain
from trustplane.certificates.verification.certificate import GoCertificate


class Cause(enum.StrEnum):
    """The cause of a refusal; the codes are those that `diagnosis` uses for image pulls."""

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
    """The position of a certificate in the chain."""

    SERVER = "server"
    INTERMEDIATE = "intermediate"
    ROOT = "root"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one served chain."""

    trusted: bool
    message: str = ""  # Go's exact error; empty when trusted
    cause: Cause | None = None
    also_possible: tuple[Cause, ...] = ()  # other causes that fit the evidence, most likely first
    role: Role | None = None  # of the blamed certificate
    blamed: GoCertificate | None = None
    chain: Chain = ()  # trusted: the first good chain, anchor last; else the longest path built
    stopped: str = ""  # where and why path building ended, for users
    anchors: tuple[str, ...] = ()  # SHA-256 fingerprints of the anchors of all good chains, the first chain's first

    @property
    def anchor(self) -> str:
        """SHA-256 fingerprint of the trust anchor of `chain`, or ""."""
        return self.anchors[0] if self.anchors else ""
