"""Causes of a failed pull: stable codes, what each means, and who must act."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class Code(enum.StrEnum):
    """Why a pull failed."""

    ISSUER_NOT_TRUSTED = "issuer-not-trusted"
    SELF_SIGNED_SERVER = "self-signed-server"
    MISSING_INTERMEDIATE = "missing-intermediate"
    CA_REKEYED = "ca-rekeyed"
    CA_NOT_A_CA = "ca-not-a-ca"
    TRUST_NOT_APPLIED = "trust-not-applied"
    RUNTIME_STALE = "runtime-stale"
    CA_FILE_MALFORMED = "ca-file-malformed"
    CA_FILE_UNREADABLE = "ca-file-unreadable"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    NAME_MISMATCH = "name-mismatch"
    NO_SUBJECT_ALT_NAME = "no-subject-alt-name"
    WRONG_KEY_USAGE = "wrong-key-usage"
    NAME_CONSTRAINT = "name-constraint"
    PATH_LENGTH = "path-length"
    WEAK_CERTIFICATE = "weak-certificate"
    TLS_VERSION = "tls-version"
    CLIENT_CERTIFICATE_REQUIRED = "client-certificate-required"
    PLAIN_HTTP = "plain-http"
    TLS_TIMEOUT = "tls-timeout"
    AUTH_MISSING = "auth-missing"
    AUTH_REJECTED = "auth-rejected"
    ACCESS_DENIED = "access-denied"
    PULL_SECRET_MALFORMED = "pull-secret-malformed"  # noqa: S105 - a code, not a password
    TOKEN_SERVICE_UNTRUSTED = "token-service-untrusted"  # noqa: S105
    TOKEN_SERVICE_BROKEN = "token-service-broken"  # noqa: S105
    BLOB_HOST_UNTRUSTED = "blob-host-untrusted"
    IMAGE_NOT_FOUND = "image-not-found"
    BLOB_MISSING = "blob-missing"
    PLATFORM_MISSING = "platform-missing"
    DIGEST_MISMATCH = "digest-mismatch"
    MANIFEST_UNSUPPORTED = "manifest-unsupported"
    INVALID_IMAGE_NAME = "invalid-image-name"
    IMAGE_NOT_PRESENT = "image-not-present"
    SIGNATURE_REJECTED = "signature-rejected"
    REGISTRY_BLOCKED = "registry-blocked"
    NOT_A_REGISTRY = "not-a-registry"
    PROXY_FAILED = "proxy-failed"
    DNS_NOT_FOUND = "dns-not-found"
    DNS_FAILURE = "dns-failure"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_TIMEOUT = "connection-timeout"
    CONNECTION_RESET = "connection-reset"
    CONNECTION_CLOSED = "connection-closed"
    NETWORK_UNREACHABLE = "network-unreachable"
    RATE_LIMITED = "rate-limited"
    REGISTRY_ERROR = "registry-error"
    KUBELET_THROTTLED = "kubelet-throttled"
    PULL_CANCELLED = "pull-cancelled"
    DISK_FULL = "disk-full"
    UNPACK_FAILED = "unpack-failed"
    RUNTIME_UNAVAILABLE = "runtime-unavailable"
    UNKNOWN = "unknown"


class Actor(enum.StrEnum):
    """Who can mend a cause."""

    CLUSTER_OWNER = "cluster owner"
    REGISTRY_OWNER = "registry owner"
    NETWORK = "network"
    APPLICATION_OWNER = "application owner"
    NOBODY = "-"


class Confidence(enum.StrEnum):
    """How sure an answer is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Meaning:
    """What a code stands for."""

    text: str
    actor: Actor


@dataclass(frozen=True)
class Cause:
    """One cause that fits.

    Attributes:
        code: Which.
        confidence: That it is this one.
        reason: Why this confidence.
        next_step: For the actor: a command or a change of a manifest, with the names of this failure.
        by_evidence: Who must act, where that is somebody else than the code says.
    """

    code: Code
    confidence: Confidence
    reason: str
    next_step: str = ""
    by_evidence: Actor | None = None

    @property
    def meaning(self) -> str:
        """What the code stands for."""
        return MEANINGS[self.code].text

    @property
    def actor(self) -> Actor:
        """Who must act."""
        return self.by_evidence or MEANINGS[self.code].actor


_TRUST, _REGISTRY = Actor.CLUSTER_OWNER, Actor.REGISTRY_OWNER
_NETWORK, _APPLICATION = Actor.NETWORK, Actor.APPLICATION_OWNER

MEANINGS: Final[Mapping[Code, Meaning]] = MappingProxyType(
    {
        Code.ISSUER_NOT_TRUSTED: Meaning("the CA that signed the served chain is not in the node's trust", _TRUST),
        Code.SELF_SIGNED_SERVER: Meaning("the server shows a self-signed certificate that is not in the list", _TRUST),
        Code.MISSING_INTERMEDIATE: Meaning(
            "the server does not send an intermediate that the trusted root needs", _REGISTRY
        ),
        Code.CA_REKEYED: Meaning("a CA of the same name but another key is trusted", _TRUST),
        Code.CA_NOT_A_CA: Meaning("the trusted CA's certificate does not allow it to sign", _TRUST),
        Code.TRUST_NOT_APPLIED: Meaning("the CA is in the desired set, but not on this node", _TRUST),
        Code.RUNTIME_STALE: Meaning("the runtime loaded its roots before the file came", _TRUST),
        Code.CA_FILE_MALFORMED: Meaning("a CA file on the node does not parse", _TRUST),
        Code.CA_FILE_UNREADABLE: Meaning("a CA file on the node is not there or cannot be read", _TRUST),
        Code.CERTIFICATE_EXPIRED: Meaning("a certificate of the chain has expired", _REGISTRY),
        Code.CERTIFICATE_NOT_YET_VALID: Meaning(
            "a certificate of the chain is not valid yet, or the node's clock is wrong", _REGISTRY
        ),
        Code.NAME_MISMATCH: Meaning("the name or address used is not in the certificate", _REGISTRY),
        Code.NO_SUBJECT_ALT_NAME: Meaning("the certificate has no Subject Alternative Name for this name", _REGISTRY),
        Code.WRONG_KEY_USAGE: Meaning("a certificate of the chain is not for servers", _REGISTRY),
        Code.NAME_CONSTRAINT: Meaning("a CA of the chain may not sign for this name", _REGISTRY),
        Code.PATH_LENGTH: Meaning("the chain has more intermediates than a CA of it allows", _REGISTRY),
        Code.WEAK_CERTIFICATE: Meaning(
            "a certificate has a signature, key or encoding that Go does not accept", _REGISTRY
        ),
        Code.TLS_VERSION: Meaning("registry and node share no TLS version or cipher suite", _REGISTRY),
        Code.CLIENT_CERTIFICATE_REQUIRED: Meaning(
            "the registry wants a client certificate that the node does not show", _TRUST
        ),
        Code.PLAIN_HTTP: Meaning("one side speaks plain HTTP, the other TLS", _REGISTRY),
        Code.TLS_TIMEOUT: Meaning("the server does not answer the TLS handshake", _NETWORK),
        Code.AUTH_MISSING: Meaning("the registry wants a password and no pull secret was used", _APPLICATION),
        Code.AUTH_REJECTED: Meaning("the credentials of the pull secret are refused", _APPLICATION),
        Code.ACCESS_DENIED: Meaning("the registry knows who asks and does not allow it", _REGISTRY),
        Code.PULL_SECRET_MALFORMED: Meaning(
            "the pull secret, or the node's credential provider, cannot be used", _APPLICATION
        ),
        Code.TOKEN_SERVICE_UNTRUSTED: Meaning(
            "the CA of the registry's token service is not in the node's trust", _TRUST
        ),
        Code.TOKEN_SERVICE_BROKEN: Meaning("the registry's token service gives no token", _REGISTRY),
        Code.BLOB_HOST_UNTRUSTED: Meaning(
            "the CA of the host that keeps the registry's blobs is not in the node's trust", _TRUST
        ),
        Code.IMAGE_NOT_FOUND: Meaning("the registry has no such repository, tag or digest", _APPLICATION),
        Code.BLOB_MISSING: Meaning("the manifest is there, content that it names is not", _REGISTRY),
        Code.PLATFORM_MISSING: Meaning("the image is not built for the node's platform", _APPLICATION),
        Code.DIGEST_MISMATCH: Meaning("content does not match its digest", _REGISTRY),
        Code.MANIFEST_UNSUPPORTED: Meaning("the runtime does not know this kind of manifest", _APPLICATION),
        Code.INVALID_IMAGE_NAME: Meaning("the image's name cannot be parsed or resolved", _APPLICATION),
        Code.IMAGE_NOT_PRESENT: Meaning("imagePullPolicy is Never and the node has no such image", _APPLICATION),
        Code.SIGNATURE_REJECTED: Meaning("the node's policy refuses the image's signature or origin", _TRUST),
        Code.REGISTRY_BLOCKED: Meaning("the node's configuration forbids this registry", _TRUST),
        Code.NOT_A_REGISTRY: Meaning("something else answers in the registry's place: a portal or a proxy", _NETWORK),
        Code.PROXY_FAILED: Meaning("the proxy that the node uses is not reached, or refuses", _NETWORK),
        Code.DNS_NOT_FOUND: Meaning("the name does not exist in the node's DNS", _NETWORK),
        Code.DNS_FAILURE: Meaning("the node's DNS gives no answer", _NETWORK),
        Code.CONNECTION_REFUSED: Meaning("nothing listens at that address and port", _NETWORK),
        Code.CONNECTION_TIMEOUT: Meaning("no answer in time: packets are dropped, or the host is too slow", _NETWORK),
        Code.CONNECTION_RESET: Meaning("the connection is reset", _NETWORK),
        Code.CONNECTION_CLOSED: Meaning("the connection is closed without an answer", _NETWORK),
        Code.NETWORK_UNREACHABLE: Meaning("the node has no route to that address", _NETWORK),
        Code.RATE_LIMITED: Meaning("the registry limits how often may be pulled: transient", _REGISTRY),
        Code.REGISTRY_ERROR: Meaning("the registry fails inside: transient", _REGISTRY),
        Code.KUBELET_THROTTLED: Meaning("the kubelet limits its own pulls: transient", _TRUST),
        Code.PULL_CANCELLED: Meaning("the pull was given up before it ended", _NETWORK),
        Code.DISK_FULL: Meaning("the node has no space for the image", _TRUST),
        Code.UNPACK_FAILED: Meaning("the image came, and could not be unpacked", _APPLICATION),
        Code.RUNTIME_UNAVAILABLE: Meaning("the container runtime does not answer the kubelet", _TRUST),
        Code.UNKNOWN: Meaning("nothing known fits: no guess", Actor.NOBODY),
    }
)
