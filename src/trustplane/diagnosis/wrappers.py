"""What each layer puts in front of the words of the layer below it.

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
    """Words in front of a lower layer's words.

    Attributes:
        template: The words. Places: `image`, `host`, `url`, `reference`, `status`, `name`.
        kind: Who says them.
        runtime: That only this runtime says them.
        fits: What fits where the words below are not known.
        anonymous: Whether credentials were used, where the words tell it.
    """

    template: str
    kind: Kind
    runtime: Runtime = Runtime.UNKNOWN
    fits: tuple[Code, ...] = ()
    anonymous: bool | None = None


_CONTAINERD, _CRIO, _DOCKER = Runtime.CONTAINERD, Runtime.CONTAINERS_IMAGE, Runtime.DOCKER
_PRIVATE: Final = (Code.AUTH_MISSING, Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND, Code.AUTH_REJECTED)
_CREDENTIALS: Final = (Code.AUTH_MISSING, Code.AUTH_REJECTED)
_SIGNATURE: Final = (Code.SIGNATURE_REJECTED,)
_SLOW: Final = (Code.CONNECTION_TIMEOUT, Code.TLS_TIMEOUT, Code.DNS_FAILURE, Code.REGISTRY_ERROR)
_ABSENT: Final = (Code.IMAGE_NOT_FOUND, Code.BLOB_MISSING, Code.PLATFORM_MISSING, Code.MANIFEST_UNSUPPORTED)
# What containerd makes of its errors; a code says little, and nothing against the words below it.
_GRPC: Final = (
    ("Unimplemented", (Code.RUNTIME_UNAVAILABLE, Code.MANIFEST_UNSUPPORTED)),
    ("NotFound", _ABSENT),
    ("DeadlineExceeded", _SLOW),
    ("Unauthenticated", (*_CREDENTIALS, Code.ACCESS_DENIED)),
    ("PermissionDenied", (Code.ACCESS_DENIED, *_CREDENTIALS)),
)
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
        *(Wrapper(one, Kind.KUBELET) for one in plain),
        Wrapper(
            "image pull failed for <image> because the signature validation failed: ", Kind.KUBELET, fits=_SIGNATURE
        ),
        Wrapper("SignatureValidationFailed: ", Kind.KUBELET, fits=_SIGNATURE),
        *(Wrapper(f"rpc error: code = {code} desc = ", Kind.GRPC, fits=fits) for code, fits in _GRPC),
        Wrapper("rpc error: code = <word> desc = ", Kind.GRPC),
    )


def _containerd() -> tuple[Wrapper, ...]:
    def said(kind: Kind, *templates: str) -> tuple[Wrapper, ...]:
        return tuple(Wrapper(one, kind, _CONTAINERD) for one in templates)

    return (
        *said(
            Kind.RUNTIME,
            'failed to pull and unpack image "<image>": ',
            'PullImage "<image>" failed: ',
            'failed to pull image "<image>": ',
            "failed to create OCI registry: ",
            "pulling image: ",
            "pulling image failed: ",
        ),
        *said(
            Kind.RESOLVE,
            'failed to resolve reference "<image>": ',
            "failed to resolve image: ",
            "failed to do request: ",
            "failed to authorize redirect: ",
        ),
        # Below this, version 1.x names an anonymous request; of one with credentials it names nothing.
        Wrapper("failed to authorize: ", Kind.TOKEN, _CONTAINERD, anonymous=False),
        Wrapper("failed to fetch anonymous token: ", Kind.TOKEN, _CONTAINERD, anonymous=True),
        Wrapper("failed to fetch oauth token: ", Kind.TOKEN, _CONTAINERD, anonymous=False),
        Wrapper("token request failed: ", Kind.TOKEN, _CONTAINERD),
        *said(
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
        Wrapper("failed to prepare extraction snapshot <word>: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper('apply layer error for "<image>": ', Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper("unpack: ", Kind.UNPACK, _CONTAINERD, _UNPACK),
        Wrapper(
            "pull access denied, repository does not exist or may require authorization: ",
            Kind.ANSWER,
            _CONTAINERD,
            _PRIVATE,
        ),
        Wrapper("not found: ", Kind.ANSWER, fits=_ABSENT),
        Wrapper("authorization failed: ", Kind.ANSWER, _CONTAINERD, _PRIVATE),
    )


def _containers_image() -> tuple[Wrapper, ...]:
    def said(kind: Kind, *templates: str) -> tuple[Wrapper, ...]:
        return tuple(Wrapper(one, kind, _CRIO) for one in templates)

    return (
        *said(
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
        *said(
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
        *said(
            Kind.TOKEN,
            "Requesting bearer token: ",
            "Requesting bear token: ",
            "Trying to obtain access token: ",
            "getting access token for <host>: ",
        ),
        *said(
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
        Wrapper("committing the finished image: ", Kind.UNPACK, _CRIO, _UNPACK),
        Wrapper("Error committing the finished image: ", Kind.UNPACK, _CRIO, _UNPACK),
        Wrapper("Source image rejected: ", Kind.IMAGE, _CRIO, _SIGNATURE),
    )


def _docker() -> tuple[Wrapper, ...]:
    return (
        Wrapper("Error response from daemon: ", Kind.RUNTIME, _DOCKER),
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
        Wrapper("proxyconnect tcp: ", Kind.PROXY, fits=proxy),
        Wrapper("socks connect tcp <address>: ", Kind.PROXY, fits=proxy),
        Wrapper("dial tcp: ", Kind.CONNECTION),
        Wrapper("dial tcp4: ", Kind.CONNECTION),
        Wrapper("dial tcp6: ", Kind.CONNECTION),
        Wrapper("dial tcp <address>: ", Kind.CONNECTION),
        Wrapper("dial tcp4 <address>: ", Kind.CONNECTION),
        Wrapper("dial tcp6 <address>: ", Kind.CONNECTION),
        Wrapper("lookup <host> on <address>: ", Kind.DNS, fits=resolver),
        Wrapper("lookup <host>: ", Kind.DNS, fits=resolver),
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
