"""The text that each layer puts in front of the layer below it.

Sources: the kubelet's images and kuberuntime packages; cri-client; containerd's client, core/remotes/docker,
core/transfer and core/unpack (1.x and 2.x); containers/image's docker and copy packages (Error... before version 5);
moby's distribution package; Go's net, net/http and net/url.
"""

from dataclasses import dataclass
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.layer import Kind, Runtime


@dataclass(frozen=True)
class Wrapper:
    """A text in front of a lower layer.

    Attributes:
        template: The text. Places: `image`, `host`, `url`, `reference`, `status`, `name`.
        kind: The layer that writes it.
        runtime: The only runtime that writes it; UNKNOWN if several do.
        codes: The causes that fit if the text below matches nothing known.
        anonymous: Whether the request had no credentials; None if the text does not say.
    """

    template: str
    kind: Kind
    runtime: Runtime = Runtime.UNKNOWN
    codes: tuple[Code, ...] = ()
    anonymous: bool | None = None


_CONTAINERD, _CRIO, _DOCKER = Runtime.CONTAINERD, Runtime.CONTAINERS_IMAGE, Runtime.DOCKER
_PRIVATE: Final = (Code.AUTH_MISSING, Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND, Code.AUTH_REJECTED)
_CREDENTIALS: Final = (Code.AUTH_MISSING, Code.AUTH_REJECTED)
_SIGNATURE: Final = (Code.SIGNATURE_REJECTED,)
_SLOW: Final = (Code.CONNECTION_TIMEOUT, Code.TLS_TIMEOUT, Code.DNS_FAILURE, Code.REGISTRY_ERROR)
_ABSENT: Final = (Code.IMAGE_NOT_FOUND, Code.BLOB_MISSING, Code.PLATFORM_MISSING, Code.MANIFEST_UNSUPPORTED)
# The gRPC codes that containerd derives from its errors; they are vague, so any statement below takes precedence.
_GRPC: Final = (
    ("Unimplemented", (Code.RUNTIME_UNAVAILABLE, Code.MANIFEST_UNSUPPORTED)),
    ("NotFound", _ABSENT),
    ("DeadlineExceeded", _SLOW),
    ("Unauthenticated", (*_CREDENTIALS, Code.ACCESS_DENIED)),
    ("PermissionDenied", (Code.ACCESS_DENIED, *_CREDENTIALS)),
)
_STORAGE: Final = (Code.UNPACK_FAILED, Code.DISK_FULL)
_UNPACK: Final = (Code.UNPACK_FAILED, Code.DISK_FULL, Code.DIGEST_MISMATCH)


def _kubelet() -> tuple[Wrapper, ...]:
    plain = (
        'Failed to pull image "<image>": ',
        'Back-off pulling image "<image>": ',
        'Failed to inspect image "<name>": ',
        'failed to "StartContainer" for "<name>" with <word>: ',
        "image pull failed for <image> because the registry is unavailable: ",
        'PullImage "<image>" from image service failed: ',
        "RegistryUnavailable: ",
        "ErrImagePull: ",
        "ImagePullBackOff: ",
        "ImageInspectError: ",
    )
    return (
        *(Wrapper(template, Kind.KUBELET) for template in plain),
        Wrapper(
            "image pull failed for <image> because the signature validation failed: ", Kind.KUBELET, codes=_SIGNATURE
        ),
        Wrapper("SignatureValidationFailed: ", Kind.KUBELET, codes=_SIGNATURE),
        *(Wrapper(f"rpc error: code = {grpc_code} desc = ", Kind.GRPC, codes=codes) for grpc_code, codes in _GRPC),
        Wrapper("rpc error: code = <word> desc = ", Kind.GRPC),
    )


def _containerd() -> tuple[Wrapper, ...]:
    def wrappers(kind: Kind, *templates: str) -> tuple[Wrapper, ...]:
        return tuple(Wrapper(template, kind, _CONTAINERD) for template in templates)

    return (
        *wrappers(
            Kind.RUNTIME,
            'failed to pull and unpack image "<image>": ',
            'PullImage "<image>" failed: ',
            'failed to pull image "<image>": ',
            "failed to create OCI registry: ",
            "pulling image: ",
            "pulling image failed: ",
        ),
        *wrappers(
            Kind.RESOLVE,
            'failed to resolve reference "<image>": ',
            "failed to resolve image: ",
            "failed to do request: ",
            "failed to authorize redirect: ",
        ),
        # Below this, containerd 1.x names only anonymous requests.
        Wrapper("failed to authorize: ", Kind.TOKEN, _CONTAINERD, anonymous=False),
        Wrapper("failed to fetch anonymous token: ", Kind.TOKEN, _CONTAINERD, anonymous=True),
        Wrapper("failed to fetch oauth token: ", Kind.TOKEN, _CONTAINERD, anonymous=False),
        Wrapper("token request failed: ", Kind.TOKEN, _CONTAINERD),
        *wrappers(
            Kind.BLOB,
            "failed to copy: ",
            "httpReadSeeker: failed open: ",
            "httpReaderSeeker: failed open: ",
            "failed to get fetcher for <word>: ",
        ),
        Wrapper('failed commit on ref "<name>": ', Kind.BLOB, _CONTAINERD),
        Wrapper("failed to unpack image on snapshotter <word>: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper("failed to extract layer <name> to <word> as <word>: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper("failed to extract layer <word>: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper('failed to prepare extraction snapshot "<name>": ', Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper("failed to prepare extraction snapshot <word>: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper("unable to initialize unpacker: ", Kind.UNPACK, _CONTAINERD, (Code.UNPACK_FAILED,)),
        Wrapper("failed to mount <word>: ", Kind.UNPACK, _CONTAINERD, _STORAGE),
        Wrapper("failed to stat parent: ", Kind.UNPACK, _CONTAINERD, _STORAGE),
        Wrapper("mount callback failed on <word>: ", Kind.UNPACK, _CONTAINERD, _STORAGE),
        Wrapper('apply layer error for "<image>": ', Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper("unpack: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper(
            "pull access denied, repository does not exist or may require authorization: ",
            Kind.ANSWER,
            _CONTAINERD,
            _PRIVATE,
        ),
        Wrapper("not found: ", Kind.ANSWER, codes=_ABSENT),
        Wrapper("authorization failed: ", Kind.ANSWER, _CONTAINERD, _PRIVATE),
    )


def _containers_image() -> tuple[Wrapper, ...]:
    def wrappers(kind: Kind, *templates: str) -> tuple[Wrapper, ...]:
        return tuple(Wrapper(template, kind, _CRIO) for template in templates)

    return (
        *wrappers(
            Kind.RUNTIME,
            "initializing source docker://<image>: ",
            "initializing image from source docker://<image>: ",
            "Error initializing source docker://<image>: ",
            "Error initializing image from source docker://<image>: ",
            "unable to copy from source docker://<image>: ",
            "unable to pull image or OCI artifact: ",  # CRI-O from 1.33
            "pull image err: ",
            "unable to pull <image>: ",
            "copying system image from manifest list: ",
            "choosing an image from manifest list docker://<image>: ",
            "choosing image instance: ",
            "Error choosing image instance: ",
            "Error choosing an image from manifest list docker://<image>: ",
            "Invalid source name docker://<image>: ",
            "internal error: ",
        ),
        *wrappers(
            Kind.RESOLVE,
            "pinging container registry <host>: ",
            "error pinging docker registry <host>: ",
            "Error determining manifest MIME type for docker://<image>: ",
            "determining manifest MIME type for docker://<image>: ",
            "reading manifest <word> in <reference>: ",
            "Error reading manifest <word> in <reference>: ",
        ),
        Wrapper("unable to retrieve auth token: invalid username/password: ", Kind.TOKEN, _CRIO, _CREDENTIALS),
        Wrapper("unable to retrieve auth token: ", Kind.TOKEN, _CRIO, _CREDENTIALS),
        *wrappers(
            Kind.TOKEN,
            "Requesting bearer token: ",
            "Requesting bear token: ",
            "Trying to obtain access token: ",
            "getting access token for <host>: ",
        ),
        *wrappers(
            Kind.BLOB,
            "reading blob <word> in <reference>: ",
            "reading blob <word>: ",
            "Error reading blob <word>: ",
            "writing blob: ",
            "Error writing blob: ",
            "storing blob to file <word>: ",
            "happened during read: ",
            "error happened during read: ",
            "fetching blob: ",
            "Error fetching blob: ",
            "parsing image configuration: ",
            "Error parsing image configuration: ",
            "copying config: ",
            "reading config blob <word>: ",
            "fetching partial blob: ",
        ),
        Wrapper('adding layer with blob "<name>": ', Kind.UNPACK, _CRIO, _UNPACK),
        Wrapper('error adding layer with blob "<name>": ', Kind.UNPACK, _CRIO, _UNPACK),
        Wrapper("committing the finished image: ", Kind.UNPACK, _CRIO, _UNPACK),
        Wrapper("Error committing the finished image: ", Kind.UNPACK, _CRIO, _UNPACK),
        Wrapper("Source image rejected: ", Kind.IMAGE, _CRIO, _SIGNATURE),
    )


def _docker() -> tuple[Wrapper, ...]:
    return (
        Wrapper("Error response from daemon: ", Kind.RUNTIME, _DOCKER),
        # With containerd's image store, the daemon writes the kind of containerd's error in front.
        Wrapper('unknown: failed to resolve reference "<image>": ', Kind.RESOLVE, _DOCKER),
        Wrapper("unknown: failed to copy: ", Kind.BLOB, _DOCKER),
        Wrapper("unknown: failed to extract layer <word>: ", Kind.UNPACK, _DOCKER, _UNPACK),
        Wrapper("Error: image <image> not found: ", Kind.RUNTIME, _DOCKER, (Code.IMAGE_NOT_FOUND,)),
        Wrapper(
            "pull access denied for <image>, repository does not exist or may require 'docker login': ",
            Kind.ANSWER,
            _DOCKER,
            _PRIVATE,
        ),
        Wrapper("manifest for <image> not found: ", Kind.ANSWER, _DOCKER, (Code.IMAGE_NOT_FOUND,)),
        Wrapper("repository <image> not found: ", Kind.ANSWER, _DOCKER, _PRIVATE),
        Wrapper("error pulling image configuration: ", Kind.BLOB, _DOCKER),
        Wrapper("download failed after attempts=<number>: ", Kind.BLOB, _DOCKER),
        Wrapper("failed to register layer: ", Kind.UNPACK, _DOCKER, _UNPACK),
        Wrapper("ApplyLayer exit status <number> stdout: <text> stderr: ", Kind.UNPACK, _DOCKER, _UNPACK),
    )


def _go() -> tuple[Wrapper, ...]:
    resolver = (Code.DNS_FAILURE, Code.DNS_NOT_FOUND)
    proxy = (Code.PROXY_FAILED,)
    return (
        Wrapper('<method> "<url>": ', Kind.HTTP),
        Wrapper("<method> <url>: ", Kind.HTTP),
        Wrapper("net/http: HTTP/1.x transport connection broken: ", Kind.HTTP),
        Wrapper("net/http: Transport failed to read from server: ", Kind.HTTP),
        Wrapper("proxyconnect tcp: ", Kind.PROXY, codes=proxy),
        Wrapper("socks connect tcp <address>: ", Kind.PROXY, codes=proxy),
        Wrapper("dial tcp: ", Kind.CONNECTION),
        Wrapper("dial tcp4: ", Kind.CONNECTION),
        Wrapper("dial tcp6: ", Kind.CONNECTION),
        Wrapper("dial tcp <address>: ", Kind.CONNECTION),
        Wrapper("dial tcp4 <address>: ", Kind.CONNECTION),
        Wrapper("dial tcp6 <address>: ", Kind.CONNECTION),
        Wrapper("lookup <host> on <address>: ", Kind.DNS, codes=resolver),
        Wrapper("lookup <host>: ", Kind.DNS, codes=resolver),
        Wrapper("read tcp <address>: ", Kind.CONNECTION),
        Wrapper("write tcp <address>: ", Kind.CONNECTION),
        Wrapper("read udp <address>: ", Kind.CONNECTION),
        Wrapper("write udp <address>: ", Kind.CONNECTION),
        Wrapper("connect: ", Kind.CONNECTION),
        Wrapper("connectex: ", Kind.CONNECTION),
        Wrapper("getsockopt: ", Kind.CONNECTION),
        Wrapper("read: ", Kind.CONNECTION),
        Wrapper("wsarecv: ", Kind.CONNECTION),
        Wrapper("write: ", Kind.CONNECTION),
        Wrapper("tls: failed to verify certificate: ", Kind.TLS),
        Wrapper("short read: expected <number> bytes but got <number>: ", Kind.BLOB),
    )


WRAPPERS: Final = (*_kubelet(), *_containerd(), *_containers_image(), *_docker(), *_go())
