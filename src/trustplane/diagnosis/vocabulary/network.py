"""What Go's net and net/http say when no connection comes about or lasts."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

_SYSTEM = "the node's kernel says so"
_CLOSED = (Code.CONNECTION_CLOSED,)
_UNREACHABLE = (Code.NETWORK_UNREACHABLE,)
_TIMEOUT = (Code.CONNECTION_TIMEOUT,)
_NO_NAME = (Code.DNS_NOT_FOUND,)
_NO_DNS = (Code.DNS_FAILURE,)

DNS: Final = Vocabulary(
    Kind.DNS,
    (
        Phrase("no such host", _NO_NAME, "the node's DNS says that the name does not exist"),
        Phrase("Name or service not known", _NO_NAME, "the node's DNS says that the name does not exist"),
        Phrase("No address associated with hostname", _NO_NAME, "the name has no address"),
        Phrase("nodename nor servname provided", _NO_NAME, "the node's DNS says that the name does not exist"),
        *(
            Phrase(words, _NO_DNS, "the name server gave no usable answer")
            for words in (
                "server misbehaving",
                "Temporary failure in name resolution",
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
        Phrase("i/o timeout", _TIMEOUT, "Go waited for an answer in vain"),
        Phrase("no route to host", _UNREACHABLE, _SYSTEM),
        Phrase("network is unreachable", _UNREACHABLE, _SYSTEM),
        Phrase("host is down", _UNREACHABLE, _SYSTEM),
        Phrase("network is down", _UNREACHABLE, _SYSTEM),
        Phrase("no suitable address found", _UNREACHABLE, "the name has no address of a family that the node uses"),
        Phrase("cannot assign requested address", _UNREACHABLE, _SYSTEM, Confidence.MEDIUM),
        Phrase("operation not permitted", _UNREACHABLE, "a firewall of the node forbids it", Confidence.MEDIUM),
        Phrase("broken pipe", _CLOSED, _SYSTEM),
        Phrase("use of closed network connection", _CLOSED, "Go says so", Confidence.MEDIUM),
    ),
)
_SLOW = (Code.CONNECTION_TIMEOUT, Code.TLS_TIMEOUT, Code.DNS_FAILURE, Code.REGISTRY_ERROR)

HTTP: Final = Vocabulary(
    Kind.HTTP,
    (
        Phrase("EOF", _CLOSED, "the server closed the connection before it answered"),
        Phrase("unexpected EOF", _CLOSED, "the server closed the connection in the middle"),
        Phrase("short read: ", _CLOSED, "less came than was announced", Confidence.MEDIUM),
        Phrase("http: server closed idle connection", _CLOSED, "the server closed the connection"),
        Phrase("http2: client connection lost", _CLOSED, "the connection was lost", Confidence.MEDIUM),
        Phrase("http2: server sent GOAWAY", _CLOSED, "the server closed the connection"),
        Phrase("server sent GOAWAY", _CLOSED, "the server closed the connection"),
        Phrase("stream error: ", (Code.CONNECTION_CLOSED, Code.REGISTRY_ERROR), "HTTP/2 broke off"),
        Phrase(
            "net/http: request canceled while waiting for connection",
            (Code.CONNECTION_TIMEOUT, Code.DNS_FAILURE, Code.TLS_TIMEOUT),
            "the time was up before there was a connection; the words do not say what took it",
        ),
        Phrase("net/http: request canceled", _SLOW, "the time was up; the words do not say what took it"),
        Phrase(
            "net/http: timeout awaiting response headers",
            (Code.REGISTRY_ERROR, Code.CONNECTION_TIMEOUT),
            "the connection stood and no answer came",
        ),
        Phrase(
            "http2: timeout awaiting response headers", (Code.REGISTRY_ERROR, Code.CONNECTION_TIMEOUT), "no answer came"
        ),
        Phrase("context deadline exceeded", _SLOW, "the time was up; the words do not say what took it"),
        Phrase("context canceled", (Code.PULL_CANCELLED,), "the runtime or the kubelet gave up", Confidence.MEDIUM),
        Phrase(
            "operation was canceled", (Code.PULL_CANCELLED,), "the runtime or the kubelet gave up", Confidence.MEDIUM
        ),
        Phrase(
            "stopped after 10 redirects", (Code.NOT_A_REGISTRY, Code.REGISTRY_ERROR), "the answers lead in a circle"
        ),
        Phrase("malformed HTTP", (Code.NOT_A_REGISTRY, Code.PLAIN_HTTP), "what answers does not speak HTTP"),
        Phrase("invalid character '<' looking for beginning of value", (Code.NOT_A_REGISTRY,), "a web page came back"),
        Phrase("unknown status code", (Code.PROXY_FAILED,), "the proxy's answer is no HTTP", Confidence.MEDIUM),
    ),
)
