"""Messages of kubelet and runtime about the node itself: files, disk, runtime socket, configuration."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

_RUNTIME: Final = tuple(
    Phrase(text, (Code.RUNTIME_UNAVAILABLE,), "the kubelet cannot reach the runtime")
    for text in (
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
    Phrase(text, (Code.DISK_FULL,), "the node's kernel reports it")
    for text in ("no space left on device", "disk quota exceeded", "not enough space on the disk")
)

_UNPACK: Final = tuple(
    Phrase(text, (Code.UNPACK_FAILED,), "the content was downloaded, but cannot be unpacked", Confidence.MEDIUM)
    for text in (
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
        "parent snapshot <word> does not exist",
        "read-only file system",
    )
)

# The kernel's text for a full or damaged volume.
_VOLUME: Final = (
    Phrase(
        "input/output error", (Code.UNPACK_FAILED, Code.DISK_FULL), "the node's kernel reports it", Confidence.MEDIUM
    ),
)

_CONFIGURATION: Final = tuple(
    Phrase(text, (Code.REGISTRY_CONFIGURATION_INVALID,), "the runtime reports that it cannot read the file")
    for text in (
        "failed to decode hosts.toml",
        "failed to parse hosts.toml",
        'invalid "host" tree',
        "invalid `host` tree",
        "invalid type <word> for",
        "unable to parse server ",
        "unknown capability ",
        "loading registries configuration",
        "error loading registries configuration",
        "parsing registries.conf",
    )
)

_FILES: Final = (
    Phrase("unable to load CA cert ", (Code.CA_FILE_MALFORMED,), "no certificate in the file can be parsed"),
    Phrase("unable to read CA cert ", (Code.CA_FILE_UNREADABLE,), "hosts.toml names a file that cannot be read"),
    Phrase("unable to load CA file", (Code.CA_FILE_UNREADABLE,), "the configuration names a file that cannot be read"),
    Phrase("unable to initialize cert pool", (Code.CA_FILE_UNREADABLE,), "the node's trust store cannot be read"),
    Phrase(
        "failed to load X509 key pair",
        (Code.CLIENT_CERTIFICATE_REQUIRED,),
        "the node's client certificate or key is unusable",
    ),
    Phrase(
        "unable to read CERT file",
        (Code.CLIENT_CERTIFICATE_REQUIRED,),
        "the node's client certificate or key is unusable",
    ),
    Phrase("missing key <name> for client certificate", (Code.CLIENT_CERTIFICATE_REQUIRED,), "the key is missing"),
    Phrase(
        "missing client certificate <name> for key", (Code.CLIENT_CERTIFICATE_REQUIRED,), "the certificate is missing"
    ),
    Phrase("open /etc/docker/certs.d/<word>: permission denied", (Code.CA_FILE_UNREADABLE,), "the file cannot be read"),
    Phrase(
        "open /etc/containers/certs.d/<word>: permission denied", (Code.CA_FILE_UNREADABLE,), "the file cannot be read"
    ),
)

_SECRETS: Final = (
    Phrase(
        "Unable to retrieve some image pull secrets",
        (Code.AUTH_MISSING,),
        "the pod names pull secrets that do not exist in its namespace",
        Confidence.MEDIUM,
    ),
    *(
        Phrase(text, (Code.PULL_SECRET_MALFORMED,), "the credentials cannot be decoded")
        for text in (
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
        Phrase(text, (Code.PULL_SECRET_MALFORMED,), "the node's credential provider failed", Confidence.MEDIUM)
        for text in (
            "error getting credentials",
            "failed to get credentials for",
            "credential provider plugin",
            "getting username and password",
        )
    ),
)

_LIMITS: Final = (
    Phrase("pull QPS exceeded", (Code.KUBELET_THROTTLED,), "the kubelet has reached its limit registryPullQPS"),
    Phrase("image pull QPS", (Code.KUBELET_THROTTLED,), "the kubelet has reached its limit registryPullQPS"),
)

NODES: Final = Vocabulary(
    Kind.NODE, (*_RUNTIME, *_DISK, *_UNPACK, *_VOLUME, *_CONFIGURATION, *_FILES, *_SECRETS, *_LIMITS)
)
