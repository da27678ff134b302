"""The next step for each cause: a command, or a change of a manifest, with the names of this failure in it."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.reading import Reading

# What comes from a message goes into a command line only if a shell takes it as it is.
_ADDRESS: Final = re.compile(r"\[?[A-Za-z0-9][A-Za-z0-9.:_-]{0,260}\]?")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")

_SHOW: Final = "openssl s_client -connect {dial} -servername {host} -showcerts </dev/null"
_ADD: Final = (
    "trustplane fetch-ca {address}   # add the entry it proposes to spec.trust.additionalTrustedCAs, "
    "then: trustplane update CLUSTER"
)
_REACH: Final = "from the node: curl -v https://{address}/v2/"
_LOGIN: Final = (
    "kubectl create secret generic pull --type=kubernetes.io/dockerconfigjson "
    "--from-file=.dockerconfigjson=config.json -n NAMESPACE   # config.json: a login to {registry}; then "
    "name it in the pod's spec.imagePullSecrets, or in its ServiceAccount"
)
_RENEW: Final = f"have the registry's certificate issued again; see it with: {_SHOW}"
_IMAGE_STEP: Final = "skopeo inspect --raw docker://{image}   # then correct `image:` in the pod's manifest"
_LOGS: Final = "see the logs of {address}; the kubelet tries again by itself"
_RESTART: Final = "on the node: systemctl restart containerd (running containers go on), then: trustplane prove CLUSTER"

_STEPS: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.ISSUER_NOT_TRUSTED: _ADD,
        Code.SELF_SIGNED_SERVER: _ADD,
        Code.TOKEN_SERVICE_UNTRUSTED: _ADD,
        Code.BLOB_HOST_UNTRUSTED: _ADD,
        Code.CA_REKEYED: f"{_ADD}, and remove the old entry when nothing uses it",
        Code.CA_NOT_A_CA: "trustplane check MANIFEST --registry {address}   # finds the entry; have the CA's owner "
        "issue the CA again with CA:TRUE and keyCertSign",
        Code.MISSING_INTERMEDIATE: f"have the server send its intermediates, too; what it sends: {_SHOW}",
        Code.TRUST_NOT_APPLIED: "trustplane status CLUSTER   # is the node Outdated? then: trustplane update CLUSTER",
        Code.RUNTIME_STALE: _RESTART,
        Code.CA_FILE_MALFORMED: "on the node: openssl x509 -noout -subject -in FILE   # then put the CA's PEM there",
        Code.CA_FILE_UNREADABLE: "on the node: ls -l the file that /etc/containerd/certs.d/{registry}/hosts.toml names",
        Code.CERTIFICATE_EXPIRED: f"renew the certificate that has expired: {_SHOW}",
        Code.CERTIFICATE_NOT_YET_VALID: "on the node: timedatectl   # is the clock right, wait or issue the "
        "certificate again",
        Code.NAME_MISMATCH: "have the certificate issued for {host}, or use a name that it has in `image:`",
        Code.NO_SUBJECT_ALT_NAME: "have the certificate issued with subjectAltName {san}",
        Code.WRONG_KEY_USAGE: "have the certificate issued with extendedKeyUsage serverAuth",
        Code.NAME_CONSTRAINT: "have {host} certified by a CA that may sign for this name",
        Code.PATH_LENGTH: _RENEW,
        Code.WEAK_CERTIFICATE: "have the chain issued again with SHA-256 signatures and keys that Go takes; see it "
        f"with: {_SHOW}",
        Code.TLS_VERSION: "have the registry serve TLS 1.2 or 1.3; what it serves: openssl s_client -connect {dial} "
        "-tls1_2 </dev/null",
        Code.CLIENT_CERTIFICATE_REQUIRED: "on the node: name the pair as `client` in "
        "/etc/containerd/certs.d/{registry}/hosts.toml",
        Code.PLAIN_HTTP: "curl -v http://{address}/v2/   # does it answer? have it serve TLS; or the port or the "
        "scheme in hosts.toml is wrong",
        Code.TLS_TIMEOUT: _REACH,
        Code.AUTH_MISSING: _LOGIN,
        Code.AUTH_REJECTED: f"renew the login in the pull secret: {_LOGIN}",
        Code.ACCESS_DENIED: "have the account of the pull secret allowed to pull {repository}",
        Code.PULL_SECRET_MALFORMED: "kubectl get secret NAME -n NAMESPACE -o jsonpath='{{.type}}'   # must be "
        "kubernetes.io/dockerconfigjson with JSON that names {registry}",
        Code.TOKEN_SERVICE_BROKEN: "see the logs of {role} {address}; where it is: curl -sI https://{registry}/v2/ "
        "shows it in WWW-Authenticate",
        Code.IMAGE_NOT_FOUND: _IMAGE_STEP,
        Code.BLOB_MISSING: "push the image again, or have the registry's storage checked: {image}",
        Code.PLATFORM_MISSING: "build the image for the node's platform (kubectl get nodes -L kubernetes.io/arch), or "
        "choose nodes by nodeSelector",
        Code.DIGEST_MISMATCH: "push the image again; if it stays so, a cache or proxy in between changes content",
        Code.MANIFEST_UNSUPPORTED: "build and push the image again as OCI or Docker schema 2: {image}",
        Code.INVALID_IMAGE_NAME: "correct `image:` in the pod's manifest: lower case, HOST[:PORT]/REPOSITORY[:TAG]",
        Code.IMAGE_NOT_PRESENT: "set imagePullPolicy: IfNotPresent, or load the image onto the node",
        Code.SIGNATURE_REJECTED: "sign the image, or see /etc/containers/policy.json on the node",
        Code.REGISTRY_BLOCKED: "see `blocked` in /etc/containers/registries.conf on the node",
        Code.NOT_A_REGISTRY: "curl -v https://{address}/v2/   # a registry answers 200 or 401 with "
        "Docker-Distribution-Api-Version",
        Code.PROXY_FAILED: "on the node: systemctl show containerd -p Environment   # HTTPS_PROXY, and does NO_PROXY "
        "have {registry}?",
        Code.DNS_NOT_FOUND: "on the node: getent hosts {host}   # a wrong name, or one that this DNS does not know",
        Code.DNS_FAILURE: "on the node: resolvectl status, and: getent hosts {host}",
        Code.CONNECTION_REFUSED: f"is the registry up, and the port right? {_REACH}",
        Code.CONNECTION_TIMEOUT: f"does a firewall drop it? {_REACH}",
        Code.CONNECTION_RESET: f"a firewall, or a server that ends the connection: {_REACH}",
        Code.CONNECTION_CLOSED: f"a load balancer without a server behind it? {_REACH}",
        Code.NETWORK_UNREACHABLE: "on the node: ip route get ADDRESS, for an address of {host}",
        Code.RATE_LIMITED: "wait, pull with an account, or through a mirror; trust has no part in it",
        Code.REGISTRY_ERROR: _LOGS,
        Code.KUBELET_THROTTLED: "wait; registryPullQPS and registryBurst of the kubelet's configuration",
        Code.PULL_CANCELLED: "on the node: journalctl -u containerd --since -1h   # image_pull_progress_timeout?",
        Code.DISK_FULL: "on the node: df -h /var/lib/containerd",
        Code.UNPACK_FAILED: "on the node: journalctl -u containerd --since -1h; does the image unpack elsewhere?",
        Code.RUNTIME_UNAVAILABLE: "on the node: systemctl status containerd; journalctl -u containerd --since -1h",
        Code.UNKNOWN: "kubectl describe pod NAME -n NAMESPACE   # the event `Failed` has the whole message",
    }
)


def next_step(code: Code, reading: Reading) -> str:
    """Say what to do, in words that may be pasted into a shell."""
    endpoint, registry = reading.endpoint, registry_of(reading.image)
    host = _safe(_ADDRESS, endpoint.host, "HOST")
    address = _safe(_ADDRESS, endpoint.address if endpoint.host else registry, "HOST")
    return _STEPS[code].format(
        host=host,
        address=address,
        dial=f"{host}:{endpoint.port}",
        san=f"IP:{host}" if host.replace(".", "").isdigit() or ":" in host else f"DNS:{host}",
        registry=_safe(_ADDRESS, registry, address),
        role=endpoint.role,
        image=_safe(_IMAGE, reading.image, "IMAGE"),
        repository=_safe(_IMAGE, reading.image.partition("@")[0], "IMAGE"),
    )


def _safe(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    return text if pattern.fullmatch(text) else otherwise
