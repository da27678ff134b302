"""Errors of Go's crypto/tls and net/http for a failed TLS handshake (alert.go, handshake_client*.go, conn.go)."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

_VERSION = (Code.TLS_VERSION,)
_CLIENT = (Code.CLIENT_CERTIFICATE_REQUIRED,)
_PLAIN = (Code.PLAIN_HTTP,)
_WEAK = (Code.WEAK_CERTIFICATE,)
_DISTURBED: Final = (
    "illegal parameter",
    "error decoding message",
    "error decrypting message",
    "decode error",
    "decrypt error",
    "decryption failed",
    "unexpected message",
    "bad record MAC",
    "record overflow",
    "user canceled",
    "unsupported extension",
    "missing extension",
)
_ALERT = "the server ends the handshake with this alert"
_REFUSES = "the server rejects the node's client certificate, or requires one"

# Go's texts for the alerts about the client's certificate (RFC 8446, section 6.2).
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
    disturbed = "the server cannot read the handshake: it is too old, or a proxy on the way changes it"
    changed = "the data was changed on the way"
    inside = (Code.REGISTRY_ERROR, Code.NAME_MISMATCH)
    return (
        Phrase(f"{remote}certificate required", _CLIENT, _ALERT),
        *(Phrase(f"{remote}{alert}", _CLIENT, _REFUSES, Confidence.MEDIUM) for alert in _CLIENT_ALERTS),
        Phrase(f"{remote}protocol version not supported", _VERSION, _ALERT),
        Phrase(f"{remote}insufficient security level", _VERSION, _ALERT),
        Phrase(f"{remote}inappropriate fallback", _VERSION, _ALERT, Confidence.MEDIUM),
        Phrase(f"{remote}no application protocol", _VERSION, _ALERT, Confidence.MEDIUM),
        Phrase(f"{remote}handshake failure", shared, "servers send this alert for all of these"),
        Phrase(f"{remote}unrecognized name", (Code.NAME_MISMATCH,), _ALERT, Confidence.MEDIUM),
        Phrase(f"{remote}internal error", inside, "the server has no certificate for this name, or fails internally"),
        Phrase(
            "local error: tls: no renegotiation",
            _CLIENT,
            "the server asks for a client certificate after the handshake",
        ),
        *(Phrase(f"{remote}{alert}", (Code.TLS_VERSION, Code.TLS_INTERCEPTED), disturbed) for alert in _DISTURBED),
        *(
            Phrase(f"local error: tls: {alert}", (Code.TLS_INTERCEPTED, Code.TLS_VERSION), changed)
            for alert in _DISTURBED
        ),
        Phrase("tls: no renegotiation", _CLIENT, "the server asks for a client certificate after the handshake"),
    )


def _handshake() -> tuple[Phrase, ...]:
    disagreement = "client and server cannot agree on a parameter"
    not_tls = "the received data is not TLS"
    medium = Confidence.MEDIUM
    return (
        Phrase("tls: first record does not look like a TLS handshake", _PLAIN, not_tls),
        Phrase("tls: oversized record received", _PLAIN, not_tls, medium),
        Phrase("tls: unsupported SSLv2 handshake", _PLAIN, not_tls, medium),
        Phrase("tls: received record with version", (Code.TLS_VERSION, Code.PLAIN_HTTP), not_tls),
        Phrase("tls: server selected unsupported protocol version", _VERSION, disagreement),
        Phrase("tls: server selected an invalid version", _VERSION, disagreement),
        Phrase("tls: no supported versions satisfy", _VERSION, disagreement),
        Phrase("tls: server chose an unconfigured cipher suite", _VERSION, disagreement),
        Phrase("tls: server selected unsupported", _VERSION, disagreement, medium),
        Phrase("tls: server selected unoffered curve", _VERSION, disagreement, medium),
        Phrase("tls: downgrade attempt detected", _VERSION, "a host on the way changes the handshake", medium),
        Phrase("tls: server did not select an ALPN protocol", _VERSION, disagreement, medium),
        Phrase(
            "tls: server sent certificate containing RSA key larger than", _WEAK, "Go accepts keys of at most 8192 bits"
        ),
        Phrase(
            "tls: server's certificate contains an unsupported type of public key",
            _WEAK,
            "Go does not support this type of key",
        ),
        Phrase(
            "tls: invalid signature by the server certificate",
            _WEAK,
            "the server's key does not match its certificate",
            medium,
        ),
        Phrase("tls: peer doesn't support any of the certificate's signature", _WEAK, disagreement, medium),
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
        Phrase(
            "net/http: TLS handshake timeout",
            (Code.TLS_TIMEOUT,),
            "TCP connected, but the TLS handshake did not finish",
        ),
        Phrase("TLS handshake timeout", (Code.TLS_TIMEOUT,), "TCP connected, but the TLS handshake did not finish"),
    )


TLS: Final = Vocabulary(Kind.TLS, (*_alerts(), *_handshake(), *_http()))
