"""What the kubelet and the runtime say about the node itself: files, disk, the runtime's socket, its configuration."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

_RUNTIME: Final = tuple(
    Phrase(words, (Code.RUNTIME_UNAVAILABLE,), "the kubelet talks to the runtime in vain")
    for words in (
        'connection error: desc = "transport: ',
        "transport: Error while dialing",
        "transport is closing",
        "all SubConns are in TransientFailure",
        "dial unix ",
        "error reading from server: ",
        "keepalive ping failed",
        "unknown service runtime",
        "Cannot connect to the Docker daemon",
        "container runtime is down",
        "container runtime not ready",
        "failed to connect to containerd",
    )
)

_DISK: Final = tuple(
    Phrase(words, (Code.DISK_FULL,), "the node's kernel says so")
    for words in ("no space left on device", "disk quota exceeded", "not enough space on the disk")
)

_UNPACK: Final = tuple(
    Phrase(words, (Code.UNPACK_FAILED,), "the content came and does not unpack", Confidence.MEDIUM)
    for words in (
        "archive/tar: invalid tar header",
        "invalid tar header",
        "gzip: invalid",
        "zstd: invalid",
        "magic number mismatch",
        "unsupported compression",
        "unhandled tar header type",
        "failed to Lchown",
        "lchown ",
        "failed to convert whiteout file",
        "container ID <number> cannot be mapped to a host ID",
        "potentially insufficient UIDs or GIDs",
        "number of layers and diffIDs don't match",
        "content digest <word>: not found",
        "invalid rootfs in image configuration",
    )
)

_FILES: Final = (
    Phrase("unable to load CA cert ", (Code.CA_FILE_MALFORMED,), "the file has no certificate that parses"),
    Phrase("unable to read CA cert ", (Code.CA_FILE_UNREADABLE,), "hosts.toml names a file that cannot be read"),
    Phrase("unable to load CA file", (Code.CA_FILE_UNREADABLE,), "the configuration names a file that cannot be read"),
    Phrase("unable to initialize cert pool", (Code.CA_FILE_UNREADABLE,), "the node's trust store cannot be read"),
    Phrase("failed to load X509 key pair", (Code.CLIENT_CERTIFICATE_REQUIRED,), "the node's own pair is unusable"),
    Phrase("unable to read CERT file", (Code.CLIENT_CERTIFICATE_REQUIRED,), "the node's own pair is unusable"),
    Phrase("missing key <name> for client certificate", (Code.CLIENT_CERTIFICATE_REQUIRED,), "a file is missing"),
    Phrase("missing client certificate <name> for key", (Code.CLIENT_CERTIFICATE_REQUIRED,), "a file is missing"),
    Phrase("open /etc/docker/certs.d/<word>: permission denied", (Code.CA_FILE_UNREADABLE,), "the file cannot be read"),
    Phrase("open /etc/containers/certs.d/<word>: permission denied", (Code.CA_FILE_UNREADABLE,), "it cannot be read"),
)

_SECRETS: Final = (
    Phrase(
        "Unable to retrieve some image pull secrets",
        (Code.AUTH_MISSING,),
        "the pod names pull secrets that are not in its namespace",
        Confidence.MEDIUM,
    ),
    *(
        Phrase(words, (Code.PULL_SECRET_MALFORMED,), "the credentials cannot be decoded")
        for words in (
            "invalid decoded auth",
            "illegal base64 data",
            "parse server address",
            "unable to parse docker config",
            "invalid auth configuration",
            "error unmarshaling .dockerconfigjson",
            'net/http: invalid header field value for "Authorization"',
        )
    ),
    *(
        Phrase(words, (Code.PULL_SECRET_MALFORMED,), "the node's credential provider failed", Confidence.MEDIUM)
        for words in (
            "error getting credentials",
            "failed to get credentials for",
            "credential provider plugin",
            "getting username and password",
        )
    ),
)

_LIMITS: Final = (
    Phrase("pull QPS exceeded", (Code.KUBELET_THROTTLED,), "registryPullQPS of the kubelet says so"),
    Phrase("image pull QPS", (Code.KUBELET_THROTTLED,), "registryPullQPS of the kubelet says so"),
)

NODES: Final = Vocabulary(Kind.NODE, (*_RUNTIME, *_DISK, *_UNPACK, *_FILES, *_SECRETS, *_LIMITS))
