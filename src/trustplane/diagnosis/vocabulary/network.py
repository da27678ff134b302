"""Errors of Go's net and net/http for a connection that fails or breaks."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

_SYSTEM = "the node's kernel reports it"
_WINDOWS = "Windows reports it"
_CLOSED = (Code.CONNECTION_CLOSED,)
_UNREACHABLE = (Code.NETWORK_UNREACHABLE,)
_TIMEOUT = (Code.CONNECTION_TIMEOUT,)
_NO_NAME = (Code.DNS_NOT_FOUND,)
_NO_DNS = (Code.DNS_FAILURE,)

DNS: Final = Vocabulary(
    Kind.DNS,
    (
        Phrase("no such host", _NO_NAME, "the node's DNS reports that the name does not exist"),
        Phrase("No such host is known", _NO_NAME, "the node's DNS reports that the name does not exist"),
        Phrase("Name or service not known", _NO_NAME, "the node's DNS reports that the name does not exist"),
        Phrase("No address associated with hostname", _NO_NAME, "the name has no address"),
        Phrase("Name does not resolve", _NO_NAME, "the node's DNS reports that the name does not exist"),
        Phrase("nodename nor servname provided", _NO_NAME, "the node's DNS reports that the name does not exist"),
        *(
            Phrase(text, _NO_DNS, "the name server gave no usable answer")
            for text in (
                "server misbehaving",
                "This is usually a temporary error during hostname resolution",
                "Temporary failure in name resolution",
                "Try again",
                "no answer from DNS server",
                "lame referral",
                "invalid DNS response",
                "cannot unmarshal DNS message",
                "device or resource busy",
                "error reading DNS config",
                "i/o timeout",
                "context deadline exceeded",
                "connection refused",
                "network is unreachable",
                "no route to host",
                "operation not permitted",
                "operation was canceled",
                "connection reset by peer",
            )
        ),
    ),
)

CONNECTION: Final = Vocabulary(
    Kind.CONNECTION,
    (
        Phrase("connection refused", (Code.CONNECTION_REFUSED,), _SYSTEM),
        Phrase(
            "No connection could be made because the target machine actively refused it",
            (Code.CONNECTION_REFUSED,),
            _SYSTEM,
        ),
        Phrase("connection reset by peer", (Code.CONNECTION_RESET,), _SYSTEM),
        Phrase("An existing connection was forcibly closed by the remote host", (Code.CONNECTION_RESET,), _SYSTEM),
        Phrase("connection timed out", _TIMEOUT, _SYSTEM),
        Phrase("operation timed out", _TIMEOUT, _SYSTEM),
        Phrase("A connection attempt failed because the connected party", _TIMEOUT, _WINDOWS),
        Phrase("An established connection was aborted by", (Code.CONNECTION_RESET,), _WINDOWS),
        Phrase("A socket operation was attempted to an unreachable", _UNREACHABLE, _WINDOWS),
        Phrase(
            "An attempt was made to access a socket in a way forbidden",
            _UNREACHABLE,
            "a firewall on the node blocks it",
            Confidence.MEDIUM,
        ),
        Phrase("i/o timeout", _TIMEOUT, "no answer arrived in time"),
        Phrase("no route to host", _UNREACHABLE, _SYSTEM),
        Phrase("network is unreachable", _UNREACHABLE, _SYSTEM),
        Phrase("host is down", _UNREACHABLE, _SYSTEM),
        Phrase("network is down", _UNREACHABLE, _SYSTEM),
        Phrase("no suitable address found", _UNREACHABLE, "the name has no address in an IP family that the node uses"),
        Phrase("cannot assign requested address", _UNREACHABLE, _SYSTEM, Confidence.MEDIUM),
        Phrase("operation not permitted", _UNREACHABLE, "a firewall on the node blocks it", Confidence.MEDIUM),
        Phrase("broken pipe", _CLOSED, _SYSTEM),
        Phrase("use of closed network connection", _CLOSED, "Go reports it", Confidence.MEDIUM),
    ),
)
_SLOW = (Code.CONNECTION_TIMEOUT, Code.TLS_TIMEOUT, Code.DNS_FAILURE, Code.REGISTRY_ERROR)

HTTP: Final = Vocabulary(
    Kind.HTTP,
    (
        Phrase("EOF", _CLOSED, "the server closed the connection before it answered"),
        Phrase("unexpected EOF", _CLOSED, "the server closed the connection during the transfer"),
        Phrase("short read: ", _CLOSED, "the server sent less than it announced", Confidence.MEDIUM),
        Phrase("http: server closed idle connection", _CLOSED, "the server closed the connection"),
        Phrase("http2: client connection lost", _CLOSED, "the connection was lost", Confidence.MEDIUM),
        Phrase("http2: server sent GOAWAY", _CLOSED, "the server closed the connection"),
        Phrase("server sent GOAWAY", _CLOSED, "the server closed the connection"),
        Phrase("stream error: ", (Code.CONNECTION_CLOSED, Code.REGISTRY_ERROR), "the HTTP/2 stream was aborted"),
        Phrase(
            "net/http: request canceled while waiting for connection",
            (Code.CONNECTION_TIMEOUT, Code.DNS_FAILURE, Code.TLS_TIMEOUT),
            "the time limit passed before the connection was established; the message does not say why",
        ),
        Phrase("net/http: request canceled", _SLOW, "the time limit passed; the message does not say why"),
        Phrase(
            "net/http: timeout awaiting response headers",
            (Code.REGISTRY_ERROR, Code.CONNECTION_TIMEOUT),
            "the connection was established, but no answer arrived",
        ),
        Phrase(
            "http2: timeout awaiting response headers",
            (Code.REGISTRY_ERROR, Code.CONNECTION_TIMEOUT),
            "no answer arrived",
        ),
        Phrase("context deadline exceeded", _SLOW, "the time limit passed; the message does not say why"),
        Phrase("context canceled", (Code.PULL_CANCELLED,), "the runtime or the kubelet gave up", Confidence.MEDIUM),
        Phrase(
            "operation was canceled", (Code.PULL_CANCELLED,), "the runtime or the kubelet gave up", Confidence.MEDIUM
        ),
        Phrase(
            "stopped after 10 redirects", (Code.NOT_A_REGISTRY, Code.REGISTRY_ERROR), "the server redirects in a loop"
        ),
        Phrase("malformed HTTP", (Code.NOT_A_REGISTRY, Code.PLAIN_HTTP), "the server does not speak HTTP"),
        Phrase(
            "invalid character '<' looking for beginning of value", (Code.NOT_A_REGISTRY,), "the server sent a web page"
        ),
        Phrase("unknown status code", (Code.PROXY_FAILED,), "the proxy's answer is not HTTP", Confidence.MEDIUM),
    ),
)
