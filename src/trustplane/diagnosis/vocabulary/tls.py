"""What Go's crypto/tls and net/http say when no TLS session comes about (alert.go, handshake_client*.go, conn.go)."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

_VERSION = (Code.TLS_VERSION,)
_CLIENT = (Code.CLIENT_CERTIFICATE_REQUIRED,)
_PLAIN = (Code.PLAIN_HTTP,)
_WEAK = (Code.WEAK_CERTIFICATE,)
_ALERT = "the server ends the handshake with this alert"
_REFUSES = "the server refuses the certificate that the node shows, or that it shows none"

# Alerts of RFC 8446, section 6.2, in Go's words, that are about the client's certificate.
_CLIENT_ALERTS: Final = (
    "bad certificate",
    "unsupported certificate",
    "revoked certificate",
    "expired certificate",
    "unknown certificate",
    "certificate unobtainable",
    "access denied",
)


def _alerts() -> tuple[Phrase, ...]:
    remote = "remote error: tls: "
    shared = (Code.TLS_VERSION, Code.CLIENT_CERTIFICATE_REQUIRED, Code.NAME_MISMATCH)
    inside = (Code.REGISTRY_ERROR, Code.NAME_MISMATCH)
    return (
        Phrase(f"{remote}certificate required", _CLIENT, _ALERT),
        *(Phrase(f"{remote}{one}", _CLIENT, _REFUSES, Confidence.MEDIUM) for one in _CLIENT_ALERTS),
        Phrase(f"{remote}protocol version not supported", _VERSION, _ALERT),
        Phrase(f"{remote}insufficient security level", _VERSION, _ALERT),
        Phrase(f"{remote}inappropriate fallback", _VERSION, _ALERT, Confidence.MEDIUM),
        Phrase(f"{remote}no application protocol", _VERSION, _ALERT, Confidence.MEDIUM),
        Phrase(f"{remote}handshake failure", shared, "servers use this alert for each of these"),
        Phrase(f"{remote}unrecognized name", (Code.NAME_MISMATCH,), _ALERT, Confidence.MEDIUM),
        Phrase(f"{remote}internal error", inside, "the server has no certificate for this name, or another fault"),
        Phrase("local error: tls: no renegotiation", _CLIENT, "the server asks in the middle for a client certificate"),
        Phrase("tls: no renegotiation", _CLIENT, "the server asks in the middle for a client certificate"),
    )


def _handshake() -> tuple[Phrase, ...]:
    agree = "client and server found nothing in common"
    mixed = "what came over the connection is not TLS"
    medium = Confidence.MEDIUM
    return (
        Phrase("tls: first record does not look like a TLS handshake", _PLAIN, mixed),
        Phrase("tls: oversized record received", _PLAIN, mixed, medium),
        Phrase("tls: unsupported SSLv2 handshake", _PLAIN, mixed, medium),
        Phrase("tls: received record with version", (Code.TLS_VERSION, Code.PLAIN_HTTP), mixed),
        Phrase("tls: server selected unsupported protocol version", _VERSION, agree),
        Phrase("tls: server selected an invalid version", _VERSION, agree),
        Phrase("tls: no supported versions satisfy", _VERSION, agree),
        Phrase("tls: server chose an unconfigured cipher suite", _VERSION, agree),
        Phrase("tls: server selected unsupported", _VERSION, agree, medium),
        Phrase("tls: server selected unoffered curve", _VERSION, agree, medium),
        Phrase("tls: downgrade attempt detected", _VERSION, "a host in between changes the handshake", medium),
        Phrase("tls: server did not select an ALPN protocol", _VERSION, agree, medium),
        Phrase(
            "tls: server sent certificate containing RSA key larger than", _WEAK, "Go takes keys of at most 8192 bits"
        ),
        Phrase(
            "tls: server's certificate contains an unsupported type of public key", _WEAK, "Go does not know the key"
        ),
        Phrase("tls: invalid signature by the server certificate", _WEAK, "the server's key does not fit", medium),
        Phrase("tls: peer doesn't support any of the certificate's signature", _WEAK, agree, medium),
    )


def _http() -> tuple[Phrase, ...]:
    plain = "the server answers the TLS handshake in plain HTTP"
    reverse = "the node speaks plain HTTP to a TLS port"
    return (
        Phrase("http: server gave HTTP response to HTTPS client", _PLAIN, plain),
        Phrase("http: server gave HTTP response to HTTP", _PLAIN, plain),
        Phrase("Client sent an HTTP request to an HTTPS server", _PLAIN, reverse),
        Phrase("The plain HTTP request was sent to HTTPS port", _PLAIN, reverse),
        Phrase('malformed HTTP response "\\x15\\x03', _PLAIN, reverse),
        Phrase("net/http: TLS handshake timeout", (Code.TLS_TIMEOUT,), "the TCP connection stood, TLS did not come"),
        Phrase("TLS handshake timeout", (Code.TLS_TIMEOUT,), "the TCP connection stood, TLS did not come"),
    )


TLS: Final = Vocabulary(Kind.TLS, (*_alerts(), *_handshake(), *_http()))
