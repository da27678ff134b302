"""Messages of versions and scenarios that the corpus does not contain; each group names its sources."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustplane.diagnosis.cause import Confidence
from trustplane.diagnosis.explanation import explain

NOT_TRUSTED = (
    "issuer-not-trusted self-signed-server missing-intermediate trust-not-applied runtime-stale ca-file-malformed "
    "ca-file-unreadable"
)
CUT_HINTS = (
    "ca-not-a-ca ca-rekeyed weak-certificate certificate-expired certificate-not-yet-valid wrong-key-usage "
    "name-constraint path-length"
)
H = "harbor.corp.test"
IMAGE = f"{H}/team/app:1.2"
KUBELET = f'Failed to pull image "{IMAGE}": '
OLD_GRPC = "rpc error: code = Unknown desc = "
PULL = f'failed to pull and unpack image "{IMAGE}": '
V1 = f'{KUBELET}{OLD_GRPC}{PULL}failed to resolve reference "{IMAGE}": '
V2 = f"{KUBELET}{PULL}failed to resolve image: "
HEAD = f'failed to do request: Head "https://{H}/v2/team/app/manifests/1.2": '
TLS = "tls: failed to verify certificate: "
CRIO = f"{KUBELET}{OLD_GRPC}initializing source docker://{IMAGE}: "
PING = f"{CRIO}pinging container registry {H}: "
GET = f'Get "https://{H}/v2/": '
DOCKER = f"{KUBELET}{OLD_GRPC}Error response from daemon: "
UNKNOWN = "x509: certificate signed by unknown authority"
S3 = "https://bucket.s3.eu-west-1.amazonaws.com/docker/registry/v2/blobs/sha256/b5/data?X-Amz-Signature=c0ffee"
COPY = f"{KUBELET}{PULL}failed to copy: httpReadSeeker: failed open: "


def hint(error: str, name: str = "Corp Root CA") -> str:
    return (
        f'{V2}{HEAD}{TLS}{UNKNOWN} (possibly because of "{error}" while trying to verify candidate authority '
        f'certificate "{name}")'
    )


# Go 1.10 to 1.26: crypto/x509 verify.go, x509.go, parser.go. "tls: failed to verify certificate" came with Go 1.20.
CERTIFICATES = [
    (NOT_TRUSTED, f"{V2}{HEAD}{TLS}{UNKNOWN}"),
    (NOT_TRUSTED, f"{V1}{HEAD}{UNKNOWN}"),
    (NOT_TRUSTED, f"{PING}{GET}{TLS}{UNKNOWN}"),
    (NOT_TRUSTED, f"{DOCKER}Get https://{H}/v2/: {UNKNOWN}"),
    (NOT_TRUSTED, f"{V2}{HEAD}{TLS}x509: “{H}” certificate is not trusted"),
    ("ca-not-a-ca", hint("x509: invalid signature: parent certificate cannot sign this kind of certificate")),
    ("ca-not-a-ca", hint("x509: certificate is not authorized to sign other certificates")),
    ("ca-rekeyed", hint("crypto/rsa: verification error")),
    ("ca-rekeyed", hint("x509: ECDSA verification failure")),
    ("ca-rekeyed", hint("x509: Ed25519 verification failure")),
    (
        "ca-rekeyed",
        hint("x509: signature algorithm specifies an RSA public key, but have public key of type *ecdsa.PublicKey"),
    ),
    ("self-signed-server ca-rekeyed", hint("x509: ECDSA verification failure", H)),
    ("weak-certificate", hint("x509: cannot verify signature: insecure algorithm MD5-RSA")),
    ("weak-certificate", hint("x509: cannot verify signature: algorithm unimplemented")),
    (
        "certificate-expired",
        hint(
            "x509: certificate has expired or is not yet valid: current time 2026-11-22T18:32:53Z is after "
            "2026-11-20T18:27:04Z"
        ),
    ),
    ("name-constraint", hint("x509: issuer has name constraints but leaf contains unknown or unconstrained name: x")),
    ("path-length", hint("x509: too many intermediates for path length constraint")),
    ("certificate-expired certificate-not-yet-valid", f"{V1}{HEAD}x509: certificate has expired or is not yet valid"),
    (
        "certificate-expired",
        (
            f"{V2}{HEAD}{TLS}x509: certificate has expired or is not yet valid: current time 2026-11-22T18:32:53+01:00"
            " is after 2026-11-20T18:27:04Z"
        ),
    ),
    (
        "certificate-not-yet-valid",
        (
            f"{PING}{GET}{TLS}x509: certificate has expired or is not yet valid: current time 1970-01-01T00:01:53Z is "
            "before 2026-11-20T18:27:04Z"
        ),
    ),
    ("name-mismatch", f"{V2}{HEAD}{TLS}x509: certificate is valid for ingress.local, not {H}"),
    ("name-mismatch", f"{V2}{HEAD}{TLS}x509: certificate is valid for 10.0.0.1, 10.0.0.2, not 10.0.0.3"),
    ("name-mismatch", f"{V2}{HEAD}{TLS}x509: certificate is valid for 120 names, but none matched {H}"),
    (
        "no-subject-alt-name name-mismatch",
        f"{V2}{HEAD}{TLS}x509: certificate is not valid for any names, but wanted {H}",
    ),
    (
        "no-subject-alt-name",
        f"{V1}{HEAD}x509: cannot validate certificate for 10.1.2.3 because it doesn't contain any IP SANs",
    ),
    ("no-subject-alt-name", f"{V1}{HEAD}x509: certificate relies on legacy Common Name field, use SANs instead"),
    (
        "no-subject-alt-name",
        (
            f"{V1}{HEAD}x509: certificate relies on legacy Common Name field, use SANs or temporarily enable Common "
            "Name matching with GODEBUG=x509ignoreCN=0"
        ),
    ),
    ("ca-not-a-ca", f"{V2}{HEAD}{TLS}x509: certificate is not authorized to sign other certificates"),
    (
        "name-constraint",
        (
            f"{V2}{HEAD}{TLS}x509: a root or intermediate certificate is not authorized to sign for this name: DNS "
            f'name "{H}" is not permitted by any constraint'
        ),
    ),
    (
        "wrong-key-usage",
        (
            f"{V2}{HEAD}{TLS}x509: a root or intermediate certificate is not authorized for an extended key usage: "
            "EKU not permitted: 1"
        ),
    ),
    ("path-length", f"{V2}{HEAD}{TLS}x509: too many intermediates for path length constraint"),
    ("wrong-key-usage", f"{V2}{HEAD}{TLS}x509: certificate specifies an incompatible key usage"),
    ("wrong-key-usage", f"{V2}{HEAD}{TLS}x509: no valid chains built: 1 candidate chains with incompatible key usage"),
    ("weak-certificate", f"{V2}{HEAD}{TLS}x509: no valid chains built: 2 candidate chains with invalid policies"),
    ("weak-certificate", f"{V2}{HEAD}{TLS}x509: issuer name does not match subject from issuing certificate"),
    (
        "name-constraint no-subject-alt-name",
        f"{V1}{HEAD}x509: issuer has name constraints but leaf doesn't have a SAN extension",
    ),
    ("weak-certificate", f"{V2}{HEAD}{TLS}x509: unhandled critical extension"),
    ("weak-certificate", f"{V2}{HEAD}tls: failed to parse certificate from server: x509: negative serial number"),
    ("weak-certificate", f"{V2}{HEAD}tls: failed to parse certificate from server: asn1: structure error: tags"),
    (
        "ca-file-unreadable",
        f"{V2}{HEAD}{TLS}x509: failed to load system roots and no roots provided; open /etc/ssl/certs: no such file",
    ),
    ("unknown", f"{V2}{HEAD}{TLS}x509: unknown error"),
]

# Go: crypto/tls alert.go, conn.go, handshake_client*.go; net/http client.go and transport.go.
HANDSHAKES = [
    ("client-certificate-required", f"{V2}{HEAD}remote error: tls: certificate required"),
    ("client-certificate-required", f"{V1}{HEAD}remote error: tls: bad certificate"),
    ("client-certificate-required", f"{V1}{HEAD}remote error: tls: unknown certificate authority"),
    ("client-certificate-required", f"{V1}{HEAD}remote error: tls: expired certificate"),
    ("client-certificate-required", f"{V1}{HEAD}local error: tls: no renegotiation"),
    ("tls-version", f"{V2}{HEAD}remote error: tls: protocol version not supported"),
    ("tls-version", f"{V2}{HEAD}tls: server selected unsupported protocol version 301"),
    ("tls-version", f"{V2}{HEAD}remote error: tls: insufficient security level"),
    ("tls-version", f"{V2}{HEAD}tls: server chose an unconfigured cipher suite"),
    ("tls-version client-certificate-required name-mismatch", f"{V2}{HEAD}remote error: tls: handshake failure"),
    ("name-mismatch", f"{V2}{HEAD}remote error: tls: unrecognized name"),
    ("registry-error name-mismatch", f"{V2}{HEAD}remote error: tls: internal error"),
    ("plain-http", f"{V2}{HEAD}http: server gave HTTP response to HTTPS client"),
    ("plain-http", f"{DOCKER}Get https://{H}:5000/v2/: http: server gave HTTP response to HTTPS client"),
    ("plain-http", f"{V2}{HEAD}tls: first record does not look like a TLS handshake"),
    ("plain-http", f"{V1}{HEAD}tls: oversized record received with length 20527"),
    (
        "plain-http",
        (
            f'{V2}failed to do request: Head "http://{H}/v2/team/app/manifests/1.2": net/http: HTTP/1.x transport '
            'connection broken: malformed HTTP response "\\x15\\x03\\x01\\x00\\x02\\x02"'
        ),
    ),
    ("tls-timeout", f"{DOCKER}Get https://{H}/v2/: net/http: TLS handshake timeout"),
    ("weak-certificate", f"{V2}{HEAD}tls: server sent certificate containing RSA key larger than 8192 bits"),
    ("tls-intercepted tls-version", f"{V2}{HEAD}local error: tls: bad record MAC"),
]

# Go: net.go, dnsclient_unix.go, transport.go; errno texts of Linux.
NETWORK = [
    ("dns-not-found", f"{V2}{HEAD}dial tcp: lookup {H} on 10.96.0.10:53: no such host"),
    ("dns-not-found", f"{V2}{HEAD}dial tcp: lookup {H}: no such host"),
    ("dns-not-found", f"{PING}{GET}dial tcp: lookup {H}: Name or service not known"),
    ("dns-failure", f"{V2}{HEAD}dial tcp: lookup {H} on 127.0.0.53:53: server misbehaving"),
    ("dns-failure", f"{V2}{HEAD}dial tcp: lookup {H}: i/o timeout"),
    (
        "dns-failure",
        f"{V2}{HEAD}dial tcp: lookup {H} on [::1]:53: read udp [::1]:44242->[::1]:53: read: connection refused",
    ),
    (
        "dns-failure",
        f"{V2}{HEAD}dial tcp: lookup {H} on 10.0.0.2:53: read udp 10.0.0.9:40212->10.0.0.2:53: i/o timeout",
    ),
    ("dns-failure", f"{V2}{HEAD}dial tcp: lookup {H}: Temporary failure in name resolution"),
    ("connection-refused", f"{V2}{HEAD}dial tcp [fd00::5]:443: connect: connection refused"),
    ("connection-timeout", f"{V2}{HEAD}dial tcp 10.0.0.5:443: i/o timeout"),
    ("connection-timeout", f"{V2}{HEAD}dial tcp 10.0.0.5:443: connect: connection timed out"),
    ("connection-timeout", f"{V2}{HEAD}read tcp 10.0.0.9:33244->10.0.0.5:443: i/o timeout"),
    ("connection-timeout", f"{V2}{HEAD}dial tcp 10.0.0.5:443: context deadline exceeded"),
    ("network-unreachable", f"{V2}{HEAD}dial tcp 10.0.0.5:443: connect: no route to host"),
    ("network-unreachable", f"{V2}{HEAD}dial tcp [2001:db8::5]:443: connect: cannot assign requested address"),
    ("network-unreachable", f"{V2}{HEAD}dial tcp 10.0.0.5:443: connect: operation not permitted"),
    ("connection-reset", f"{V2}{HEAD}read tcp 10.0.0.9:33244->10.0.0.5:443: read: connection reset by peer"),
    ("connection-closed", f"{V2}{HEAD}EOF"),
    ("connection-closed", f"{V1}unexpected EOF"),
    ("connection-closed", f"{KUBELET}{PULL}failed to copy: short read: expected 30 bytes but got 7: unexpected EOF"),
    ("connection-closed", f"{V2}{HEAD}write tcp 10.0.0.9:33244->10.0.0.5:443: write: broken pipe"),
    (
        "connection-timeout dns-failure tls-timeout",
        (
            f"{DOCKER}Get https://{H}/v2/: net/http: request canceled while waiting for connection (Client.Timeout "
            "exceeded while awaiting headers)"
        ),
    ),
    ("connection-timeout tls-timeout dns-failure registry-error", f"{V2}{HEAD}context deadline exceeded"),
    (
        "connection-timeout tls-timeout dns-failure registry-error",
        f"{KUBELET}rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    ),
    ("proxy-failed", f"{V2}{HEAD}proxyconnect tcp: dial tcp 10.9.9.9:3128: connect: connection refused"),
    ("proxy-failed", f"{V2}{HEAD}proxyconnect tcp: dial tcp: lookup proxy.corp.test on 10.0.0.2:53: no such host"),
    ("proxy-failed", f"{V2}{HEAD}proxyconnect tcp: {TLS}{UNKNOWN}"),
    ("proxy-failed", f"{V2}{HEAD}Proxy Authentication Required"),
    ("proxy-failed", f"{V2}{HEAD}Service Unavailable"),
]

# Second hosts: containerd core/remotes/docker/auth, containers/image docker_client.go, signed URLs of S3 and Azure.
SECOND_HOSTS = [
    (
        "token-service-untrusted",
        (
            f'{V2}failed to authorize: failed to fetch anonymous token: Get "https://auth.corp.test/token?scope='
            f'repository%3Ateam%2Fapp%3Apull&service=r": {TLS}{UNKNOWN}'
        ),
    ),
    (
        "token-service-untrusted",
        (f'{V2}failed to authorize: failed to fetch oauth token: Post "https://auth.corp.test/token": {TLS}{UNKNOWN}'),
    ),
    (
        "certificate-expired",
        (
            f'{V2}failed to authorize: failed to fetch oauth token: Post "https://auth.corp.test/token": {TLS}x509: '
            "certificate has expired or is not yet valid: current time 2026-11-22T18:32:53Z is after "
            "2026-11-20T18:27:04Z"
        ),
    ),
    (
        "connection-refused token-service-broken",
        (
            f'{V2}failed to authorize: failed to fetch oauth token: Post "https://auth.corp.test/token": dial tcp '
            "10.0.0.7:443: connect: connection refused"
        ),
    ),
    (
        "token-service-broken",
        (
            f"{V2}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
            "https://auth.corp.test/token?scope=repository%3Ateam%2Fapp%3Apull: 500 Internal Server Error"
        ),
    ),
    (
        "token-service-broken",
        f"{V1}failed to authorize: failed to fetch anonymous token: unexpected status: 503 Service",
    ),
    ("token-service-broken", f"{V1}failed to authorize: authorization server did not include a token in the response"),
    ("tls-intercepted blob-host-untrusted", f'{COPY}failed to do request: Get "{S3}": {TLS}{UNKNOWN}'),
    ("blob-host-untrusted", f'{COPY}failed to do request: Get "https://s3.corp.test/b/data": {TLS}{UNKNOWN}'),
    (
        "tls-intercepted blob-host-untrusted",
        f'{CRIO}reading blob sha256:b515: Get "{S3}": {UNKNOWN}',
    ),
    ("dns-not-found", f'{COPY}failed to do request: Get "{S3}": dial tcp: lookup bucket.s3.test: no such host'),
    ("access-denied registry-error", f"{COPY}unexpected status from GET request to {S3}: 403 Forbidden"),
    (
        "connection-closed",
        f'{KUBELET}{PULL}failed to copy: httpReadSeeker: failed open: failed to do request: Get "{S3}": EOF',
    ),
]

# containerd 1.x and 2.x resolver.go, authorizer.go, auth/fetch.go.
# Texts of Docker Hub, Harbor, Quay, GHCR, GitLab, ECR, GAR, ACR.
DENIED = "pull access denied, repository does not exist or may require authorization: "
ACCESS = [
    ("auth-missing", f"{V2}{DENIED}authorization failed: no basic auth credentials"),
    (
        "auth-missing access-denied image-not-found",
        f"{V2}{DENIED}server message: insufficient_scope: authorization failed",
    ),
    (
        "image-not-found auth-missing access-denied",
        (
            'Failed to pull image "nginxx": failed to pull and unpack image "docker.io/library/nginxx:latest": failed '
            f'to resolve reference "docker.io/library/nginxx:latest": {DENIED}server message: insufficient_scope: '
            "authorization failed"
        ),
    ),
    ("token-service-broken auth-rejected", f"{V2}{DENIED}server message: invalid_token: authorization failed"),
    (
        "auth-missing auth-rejected access-denied",
        f"{V2}unexpected status from HEAD request to https://{H}/v2/x/manifests/1: 401 Unauthorized",
    ),
    (
        "auth-rejected",
        (
            f"{V2}failed to authorize: failed to fetch oauth token: unexpected status from POST request to "
            f"https://{H}/service/token: 401 Unauthorized"
        ),
    ),
    ("auth-rejected", f"{V1}failed to authorize: unexpected status: 401 Unauthorized"),
    (
        "auth-missing access-denied image-not-found",
        (
            'Failed to pull image "ghcr.io/o/app:1": failed to pull and unpack image "ghcr.io/o/app:1": failed to '
            'resolve reference "ghcr.io/o/app:1": failed to authorize: failed to fetch anonymous token: unexpected '
            "status from GET request to https://ghcr.io/token?scope=repository%3Ao%2Fapp%3Apull&service=ghcr.io: 403 "
            "Forbidden"
        ),
    ),
    (
        "access-denied auth-rejected",
        f"{V2}failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden",
    ),
    (
        "access-denied",
        f"{V2}unexpected status from HEAD request to https://{H}/v2/team/app/manifests/1.2: 403 Forbidden",
    ),
    (
        "auth-missing access-denied image-not-found",
        (
            'failed to resolve reference "europe-docker.pkg.dev/p/r/app:1": unexpected status from HEAD request to '
            "https://europe-docker.pkg.dev/v2/p/r/app/manifests/1: 403 Forbidden"
        ),
    ),
    (
        "access-denied auth-rejected",
        (
            'failed to resolve reference "1.dkr.ecr.eu-west-1.amazonaws.com/app:1": unexpected status from HEAD '
            "request to https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/app/manifests/1: 403 Forbidden"
        ),
    ),
    (
        "access-denied",
        f"{V2}unexpected status from HEAD request to https://{H}/v2/x/manifests/1: 412 Precondition Failed",
    ),
    (
        "auth-rejected",
        f"{DOCKER}Get https://registry-1.docker.io/v2/a/manifests/1: unauthorized: incorrect username or password",
    ),
    (
        "auth-missing access-denied auth-rejected image-not-found",
        (
            f"{DOCKER}unauthorized: unauthorized to access repository: team/app, action: pull: unauthorized to access "
            "repository: team/app, action: pull"
        ),
    ),
    (
        "image-not-found auth-missing access-denied",
        (
            f"{OLD_GRPC}Error response from daemon: pull access denied for nginxx, repository does not exist or may "
            "require 'docker login': denied: requested access to the resource is denied"
        ),
    ),
    (
        "auth-missing access-denied image-not-found auth-rejected",
        "reading manifest 1.2 in quay.io/team/app: unauthorized: access to the requested resource is not authorized",
    ),
    (
        "auth-missing auth-rejected access-denied",
        f"reading manifest 1.2 in {H}/team/app: unauthorized: authentication required",
    ),
    (
        "auth-missing access-denied image-not-found",
        (
            f"reading manifest 1.2 in {H}/team/app: errors:\ndenied: requested access to the resource is denied\n"
            "unauthorized: authentication required"
        ),
    ),
    (
        "auth-missing",
        f"{DOCKER}Get https://1.dkr.ecr.us-east-1.amazonaws.com/v2/app/manifests/1: no basic auth credentials",
    ),
    ("auth-rejected", f"{DOCKER}denied: Your authorization token has expired. Reauthenticate and try again."),
    (
        "auth-missing",
        (
            "reading manifest 1 in europe-docker.pkg.dev/p/r/app: denied: Unauthenticated request. Unauthenticated "
            'requests do not have permission "artifactregistry.repositories.downloadArtifacts"'
        ),
    ),
    ("access-denied", f"{DOCKER}denied: client with IP '10.1.2.3' is not allowed access."),
    (
        "auth-missing",
        "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.",
    ),
    ("pull-secret-malformed", f'{KUBELET}{OLD_GRPC}{PULL}invalid decoded auth: "robot$ci"'),
    ("rate-limited", f"{V2}unexpected status from HEAD request to https://{H}/v2/x/manifests/1: 429 Too Many Requests"),
    (
        "rate-limited",
        (
            f"{DOCKER}toomanyrequests: You have reached your pull rate limit. You may increase the limit by "
            "authenticating and upgrading: https://www.docker.com/increase-rate-limit"
        ),
    ),
    ("kubelet-throttled", f"{KUBELET}pull QPS exceeded"),
    ("registry-error", f"{V2}unexpected status from HEAD request to https://{H}/v2/x/manifests/1: 502 Bad Gateway"),
    ("registry-error", f"{DOCKER}received unexpected HTTP status: 503 Service Unavailable"),
    ("registry-error", f'reading manifest 1 in {H}/p/x: unknown: Get "https://upstream.test/v2/": {UNKNOWN}'),
    ("not-a-registry", f'{PING}StatusCode: 404, "<!DOCTYPE html><html lang=en><title>Not"'),
    ("not-a-registry", f"{PING}invalid status code from registry 404 (Not Found)"),
    (
        "not-a-registry image-not-found",
        (
            f"{DOCKER}error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: "
            '"<html><head><title>404"'
        ),
    ),
    (
        "not-a-registry registry-error",
        f"{V2}unexpected status from HEAD request to https://{H}/v2/x/manifests/1: 302 Found",
    ),
]

# containerd core/images, core/content, client/pull.go; containers/image manifest, copy; moby distribution/pull_v2.go.
IMAGES = [
    (
        "image-not-found",
        f"{KUBELET}rpc error: code = NotFound desc = {PULL}failed to resolve image: {IMAGE}: not found",
    ),
    ("image-not-found", f"{DOCKER}manifest for {IMAGE} not found: manifest unknown: manifest unknown"),
    ("image-not-found", f"{DOCKER}manifest for {IMAGE} not found"),
    ("image-not-found", f"{CRIO}reading manifest 1.2 in {H}/team/app: manifest unknown"),
    ("image-not-found", f"{OLD_GRPC}Error reading manifest 1.2 in {H}/team/app: manifest unknown: manifest unknown"),
    (
        "image-not-found",
        (
            "reading manifest 1 in 1.dkr.ecr.eu-west-1.amazonaws.com/app: name unknown: The repository with name 'app' "
            "does not exist in the registry with id '1'"
        ),
    ),
    ("image-not-found", f"{DOCKER}unknown: repository team/app not found"),
    ("image-not-found", f"{DOCKER}unknown: artifact team/app:1.2 not found"),
    (
        "blob-missing image-not-found",
        f"copying system image from manifest list: reading manifest sha256:77 in {H}/a: manifest unknown",
    ),
    (
        "blob-missing",
        f"{COPY}content at https://{H}/v2/team/app/blobs/sha256:b515 not found: not found",
    ),
    ("blob-missing", f"{CRIO}reading blob sha256:b515: fetching blob: blob unknown to registry"),
    (
        "platform-missing",
        f"{KUBELET}rpc error: code = NotFound desc = {PULL}no match for platform in manifest: not found",
    ),
    (
        "platform-missing",
        f"{KUBELET}{PULL}no match for platform in manifest sha256:0a1b: not found",
    ),
    ("platform-missing", f"{DOCKER}no matching manifest for linux/arm64/v8 in the manifest list entries"),
    (
        "platform-missing",
        (
            f"{OLD_GRPC}choosing an image from manifest list docker://{IMAGE}: no image found in manifest list for "
            'architecture "arm64", variant "v8", OS "linux"'
        ),
    ),
    ("digest-mismatch", f"{DOCKER}filesystem layer verification failed for digest sha256:b515"),
    (
        "digest-mismatch",
        f'{OLD_GRPC}writing blob: storing blob to file "/var/tmp/x": Digest did not match, expected a, got b',
    ),
    (
        "digest-mismatch",
        (
            f'{KUBELET}{PULL}failed commit on ref "layer-sha256:b5": "layer-sha256:b5" failed size validation: 7 != 9: '
            "failed precondition"
        ),
    ),
    (
        "manifest-unsupported",
        (
            f'{KUBELET}{PULL}not implemented: media type "application/vnd.docker.distribution.manifest.v1+prettyjws" '
            "is no longer supported since containerd v2.1, please rebuild the image"
        ),
    ),
    ("manifest-unsupported", f"{V2}schema 1 image manifests are no longer supported: invalid argument"),
    (
        "manifest-unsupported",
        (
            f"{DOCKER}Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. "
            "Suggest the author to upgrade"
        ),
    ),
    (
        "manifest-unsupported",
        f'{OLD_GRPC}parsing image configuration: unsupported image-specific operation on artifact with type "x/y"',
    ),
    (
        "manifest-unsupported",
        f'{DOCKER}Encountered remote "application/vnd.cncf.helm.config.v1+json"(unknown) when fetching',
    ),
    (
        "invalid-image-name",
        (
            'Failed to apply default image tag "Harbor/App:1": couldn\'t parse image name "Harbor/App:1": invalid '
            "reference format: repository name must be lowercase"
        ),
    ),
    (
        "invalid-image-name",
        (
            'InvalidImageName: Failed to apply default image tag "http://h/a": couldn\'t parse image reference '
            '"http://h/a": invalid reference format'
        ),
    ),
    (
        "invalid-image-name",
        (
            f'{OLD_GRPC}short-name "app:1" did not resolve to an alias and no unqualified-search registries are '
            'defined in "/etc/containers/registries.conf"'
        ),
    ),
    ("image-not-present", 'Container image "app:1" is not present with pull policy of Never'),
    ("signature-rejected", f"SignatureValidationFailed: {OLD_GRPC}image pull failed: no good"),
    ("signature-rejected", f"{OLD_GRPC}Source image rejected: A signature was required, but no signature exists"),
    (
        "registry-blocked",
        f"{OLD_GRPC}registry {H} is blocked in /etc/containers/registries.conf or /etc/containers/r.d",
    ),
]

# CRI-O from 1.33 tries an OCI artifact when the image fails (internal/storage).
# Older spellings of containerd and crictl.
CRIO_NEW = f"{KUBELET}unable to pull image or OCI artifact: pull image err: "
OTHERS = [
    (
        "image-not-found",
        (
            f"{CRIO_NEW}initializing source docker://{IMAGE}: reading manifest 1.2 in {H}/team/app: manifest unknown; "
            "artifact err: get manifest: build image source: reading manifest 1.2: manifest unknown"
        ),
    ),
    (
        NOT_TRUSTED,
        f"{CRIO_NEW}pinging container registry {H}: {GET}{TLS}{UNKNOWN}; artifact err: x",
    ),
    (
        "signature-rejected",
        (
            "SignatureValidationFailed: unable to pull image or OCI artifact: pull image err: copying system image "
            "from manifest list: Source image rejected: None of the signatures were accepted, reasons: x"
        ),
    ),
    (
        "connection-closed",
        f'{CRIO_NEW}writing blob: storing blob to file "/var/tmp/1": happened during read: unexpected EOF',
    ),
    (
        "auth-missing",
        f"{CRIO_NEW}reading manifest 1 in ocir.test/a: denied: Anonymous users are only allowed read access",
    ),
    (
        "manifest-unsupported",
        (
            f'FATA[0007] pulling image failed: {OLD_GRPC}failed to pull and unpack image "quay.io/m/a:1": failed to '
            "copy: httpReaderSeeker: failed open: could not fetch content descriptor sha256:13 (application/"
            "vnd.docker.distribution.manifest.v1+prettyjws; charset=utf-8) from remote: not found"
        ),
    ),
    (
        "unpack-failed",
        f"{OLD_GRPC}{PULL}failed to unpack image on snapshotter overlayfs: content digest sha256:73: not found",
    ),
]

# The kubelet's cri-client, containerd's hosts.go and unpacker.go, moby's layer store, Linux.
NODES = [
    (
        "runtime-unavailable",
        (
            f'{KUBELET}rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
            'dial unix /run/containerd/containerd.sock: connect: connection refused"'
        ),
    ),
    ("runtime-unavailable", f"{KUBELET}rpc error: code = Unavailable desc = error reading from server: EOF"),
    ("runtime-unavailable manifest-unsupported", "rpc error: code = Unimplemented desc = something new"),
    (
        "runtime-unavailable",
        f"{OLD_GRPC}Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?",
    ),
    (
        "disk-full",
        (
            f"{KUBELET}{PULL}failed to extract layer (application/vnd.oci.image.layer.v1.tar+gzip sha256:aa) to "
            'overlayfs as "extract-1": write /var/lib/x: no space left on device: unknown'
        ),
    ),
    (
        "disk-full",
        f"{DOCKER}failed to register layer: Error processing tar file(exit status 1): write: no space left on device",
    ),
    (
        "unpack-failed disk-full digest-mismatch",
        f"{KUBELET}{PULL}failed to extract layer sha256:aa: something new in this version",
    ),
    ("unpack-failed", f"{KUBELET}{PULL}failed to extract layer sha256:aa: archive/tar: invalid tar header: unknown"),
    ("digest-mismatch", f'{KUBELET}{PULL}wrong diff id calculated on extraction "sha256:1"'),
    ("ca-file-unreadable", f'{V2}unable to read CA cert "/etc/containerd/certs.d/h/ca.crt": open x: permission denied'),
    ("ca-file-malformed", f'{V2}unable to load CA cert "/etc/containerd/certs.d/h/ca.crt"'),
    ("pull-cancelled", f"{KUBELET}rpc error: code = Canceled desc = {PULL}context canceled"),
    ("image-not-found", f"reading manifest 1 in {H}/a: not found: artifact team/app:1.2 not found"),
    (
        "auth-rejected auth-missing",
        (
            f"{KUBELET}[{V1}failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized, "
            f"{OLD_GRPC}{V1}failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized]"
        ),
    ),
    ("image-not-found", f"{OLD_GRPC}unexpected status from HEAD request to https://{H}/v2/a: 404 Not Found"),
    ("not-a-registry", f"{DOCKER}login attempt to https://{H}/v2/ failed with status: 404 Not Found"),
    (
        "auth-missing access-denied image-not-found",
        f"{DOCKER}repository {H}/a not found: does not exist or no pull access",
    ),
    ("pull-secret-malformed", f'{V2}{HEAD}net/http: invalid header field value for "Authorization"'),
    ("not-a-registry", f"{V2}unexpected media type text/html for sha256:aa: not found"),
    (
        f"blob-host-untrusted {NOT_TRUSTED}",
        f"{DOCKER}error pulling image configuration: download failed after attempts=6: {UNKNOWN}",
    ),
    (f"{CUT_HINTS} {NOT_TRUSTED}", f"{V2}{HEAD}{TLS}{UNKNOWN} (possibly because of..."),
    ("name-mismatch", f"{V2}{HEAD}{TLS}x509: certificate is vali..."),
    (
        "auth-rejected",
        (
            f"{V2}unexpected status from HEAD request to https://{H}/v2/a/manifests/1: 403 Forbidden\ndenied: Your "
            "authorization token has expired. Reauthenticate and try again."
        ),
    ),
    (
        "auth-missing auth-rejected access-denied",
        (
            f"{V2}unexpected status from GET request to https://{H}/v2/a/manifests/1: 401 Unauthorized\nerrors:\n"
            "unauthorized: authentication required\ndenied: x\n"
        ),
    ),
    (
        "registry-error",
        f"{V2}unexpected status from GET request to https://{H}/v2/a/manifests/1: 503 Service Unavailable\nunknown: x",
    ),
    ("ca-not-a-ca self-signed-server", hint("x509: invalid signature: parent certificate cannot sign", "srv.test")),
    (
        "plain-http not-a-registry registry-error",
        f"{V2}unexpected status from HEAD request to http://{H}/v2/a/manifests/1: 400 Bad Request",
    ),
    ("connection-closed plain-http", f'{V2}failed to do request: Head "http://{H}/v2/a/manifests/1": EOF'),
    ("unknown", f'Back-off pulling image "{IMAGE}"'),
    ("unknown", "Error: ErrImagePull"),
    ("unknown", "Error: ImagePullBackOff"),
    ("unknown", ""),
]

ALL = [*CERTIFICATES, *HANDSHAKES, *NETWORK, *SECOND_HOSTS, *ACCESS, *IMAGES, *OTHERS, *NODES]


@pytest.mark.parametrize(("codes", "message"), ALL)
def test_the_causes_that_fit(codes: str, message: str) -> None:
    assert " ".join(explain(message).codes) == codes


# Kubelet 1.31 and later repeat the cause in the back-off (kuberuntime and images/image_manager.go).
@pytest.mark.parametrize(
    "message",
    [
        f'Back-off pulling image "{IMAGE}": ErrImagePull: {PULL}failed to resolve image: {HEAD}EOF',
        f'ImagePullBackOff: Back-off pulling image "{IMAGE}": ErrImagePull: {V1}{HEAD}EOF',
        (
            f'"Error syncing pod, skipping" err="failed to \\"StartContainer\\" for \\"app\\" with ErrImagePull: '
            f'\\"{OLD_GRPC}failed to pull and unpack image \\\\\\"{IMAGE}\\\\\\": failed to resolve reference '
            f'\\\\\\"{IMAGE}\\\\\\": failed to do request: Head \\\\\\"https://{H}/v2/team/app/manifests/1.2\\\\\\": '
            'EOF\\"" pod="team/web"'
        ),
        f'time="2026-11-23T06:00:00Z" level=error msg="PullImage \\"{IMAGE}\\" failed" error="{PULL}{HEAD}EOF"',
        f"RegistryUnavailable: image pull failed for {IMAGE} because the registry is unavailable: {GET}EOF",
        f"  Warning  Failed     3m (x4 over 5m)  kubelet            {V2}{HEAD}EOF",
    ],
)
def test_layers_around_the_cause(message: str) -> None:
    explanation = explain(message)
    assert explanation.codes == ("connection-closed",)
    assert explanation.parsed.image == IMAGE
    assert explanation.parsed.endpoint.host == H


@settings(max_examples=200)
@given(st.sampled_from([message for _, message in ALL]), st.data())
def test_a_cut_message_never_claims_another_cause(message: str, data: st.DataObject) -> None:
    whole, cut = explain(message), explain(message[: data.draw(st.integers(0, len(message)))])
    if whole.is_known and cut.is_known and len(cut.codes) == 1:
        assert cut.codes[0] in whole.codes or cut.causes[0].confidence is not Confidence.HIGH
