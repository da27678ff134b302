"""The next step for each cause: a command or a manifest change, with the names from the failure filled in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.message_parser import ParsedMessage
from trustplane.diagnosis.node_software import software_of
from trustplane.diagnosis.public_hosts import is_acr, is_ecr, is_google
from trustplane.diagnosis.vocabulary.certificates import NOT_TRUSTED

# Text from a message goes into a command line only if a shell does not interpret any of it.
_ADDRESS: Final = re.compile(r"\[?[A-Za-z0-9][A-Za-z0-9.:_-]{0,260}\]?")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")

_SHOW: Final = "openssl s_client -connect {dial} -servername {host} -showcerts </dev/null"
_ADD: Final = (
    "trustplane fetch-ca {address}   # add the proposed entry to spec.trust.additionalTrustedCAs, "
    "then run: trustplane update CLUSTER"
)
_REACH: Final = "on the node: curl -v https://{address}/v2/"
_LOGIN: Final = (
    "kubectl create secret generic pull --type=kubernetes.io/dockerconfigjson "
    "--from-file=.dockerconfigjson=config.json -n NAMESPACE   # config.json must contain a login to {registry}; "
    "reference the Secret in the pod's spec.imagePullSecrets or in its ServiceAccount"
)
_REISSUE: Final = f"reissue the registry's certificate; to inspect the current one: {_SHOW}"
_IMAGE_STEP: Final = "skopeo inspect --raw docker://{image}   # then correct `image:` in the pod's manifest"
_LOGS: Final = "check the logs of {address}; the kubelet retries automatically"
_RESTART: Final = "on the node: {restart}, then: trustplane prove CLUSTER"

_STEPS: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.ISSUER_NOT_TRUSTED: _ADD,
        Code.SELF_SIGNED_SERVER: _ADD,
        Code.TOKEN_SERVICE_UNTRUSTED: _ADD,
        Code.BLOB_HOST_UNTRUSTED: _ADD,
        Code.CA_REKEYED: f"{_ADD}; remove the old entry once nothing uses it",
        Code.CA_NOT_A_CA: "trustplane check MANIFEST --registry {address}   # shows the entry; ask the CA's owner to "
        "reissue the CA certificate with CA:TRUE and keyCertSign",
        Code.MISSING_INTERMEDIATE: "configure the server to send its intermediate certificates; to see what it sends: "
        f"{_SHOW}",
        Code.TRUST_NOT_APPLIED: "trustplane status CLUSTER   # if the node is Outdated: trustplane update CLUSTER",
        Code.RUNTIME_STALE: _RESTART,
        Code.CA_FILE_MALFORMED: "on the node: openssl x509 -noout -subject -in FILE   # if this fails, write the CA's "
        "PEM to FILE again",
        Code.CA_FILE_UNREADABLE: "on the node: ls -l FILE   # {ca_file}",
        Code.CERTIFICATE_EXPIRED: f"renew the expired certificate; to find it: {_SHOW}",
        Code.CERTIFICATE_NOT_YET_VALID: "on the node: timedatectl   # if the clock is right, wait until the "
        "certificate is valid, or reissue it",
        Code.NAME_MISMATCH: "reissue the certificate for {host}, or use a name from the certificate in `image:`",
        Code.NO_SUBJECT_ALT_NAME: "reissue the certificate with subjectAltName {san}",
        Code.WRONG_KEY_USAGE: "reissue the certificate with extendedKeyUsage serverAuth",
        Code.NAME_CONSTRAINT: "get a certificate for {host} from a CA that may issue for this name",
        Code.PATH_LENGTH: _REISSUE,
        Code.WEAK_CERTIFICATE: "reissue the chain with SHA-256 signatures and keys that Go accepts; to inspect the "
        f"current one: {_SHOW}",
        Code.TLS_VERSION: "enable TLS 1.2 or 1.3 on the registry; to test it: openssl s_client -connect {dial} "
        "-tls1_2 </dev/null",
        Code.CLIENT_CERTIFICATE_REQUIRED: "on the node: {client}",
        Code.PLAIN_HTTP: "curl -v http://{address}/v2/   # if this works, enable TLS on the registry; if not, correct "
        "the port or the scheme in {scheme}",
        Code.TLS_INTERCEPTED: f"{_SHOW}   # run it on the node: another issuer than the public one is the proxy's CA; "
        "add that CA to spec.trust.additionalTrustedCAs, or exempt {host} from inspection",
        Code.TLS_TIMEOUT: _REACH,
        Code.AUTH_MISSING: _LOGIN,
        Code.AUTH_REJECTED: f"renew the login in the pull secret: {_LOGIN}",
        Code.ACCESS_DENIED: "allow the pull secret's account to pull {repository}",
        Code.PULL_SECRET_MALFORMED: "kubectl get secret NAME -n NAMESPACE -o jsonpath='{{.type}}'   # must be "
        "kubernetes.io/dockerconfigjson, with JSON that contains a login to {registry}",
        Code.TOKEN_SERVICE_BROKEN: "check the logs of {role} {address}; to find the token service: curl -sI "
        "https://{registry}/v2/ (header WWW-Authenticate)",
        Code.IMAGE_NOT_FOUND: _IMAGE_STEP,
        Code.BLOB_MISSING: "push the image again, or check the registry's storage: {image}",
        Code.PLATFORM_MISSING: "build the image for the node's platform (kubectl get nodes -L kubernetes.io/arch), or "
        "choose matching nodes with nodeSelector",
        Code.DIGEST_MISMATCH: "push the image again; if the error remains, a cache or proxy changes the content",
        Code.MANIFEST_UNSUPPORTED: "rebuild the image in OCI or Docker schema 2 format and push it: {image}",
        Code.INVALID_IMAGE_NAME: "correct `image:` in the pod's manifest: lower case, HOST[:PORT]/REPOSITORY[:TAG]",
        Code.IMAGE_NOT_PRESENT: "set imagePullPolicy: IfNotPresent, or load the image onto the node",
        Code.SIGNATURE_REJECTED: "sign the image, or check /etc/containers/policy.json on the node",
        Code.REGISTRY_BLOCKED: "check `blocked` in /etc/containers/registries.conf on the node",
        Code.REGISTRY_CONFIGURATION_INVALID: "on the node: correct {configuration}; each registry needs its table "
        '[host."https://{registry}"]   # until then {unit} continues without the mirrors and CAs of the file',
        Code.NOT_A_REGISTRY: "curl -v https://{address}/v2/   # a registry answers 200 or 401 with "
        "Docker-Distribution-Api-Version",
        Code.PROXY_FAILED: "on the node: systemctl show {unit} -p Environment   # check HTTPS_PROXY, and whether "
        "NO_PROXY must contain {requested}",
        Code.DNS_NOT_FOUND: "on the node: getent hosts {host}   # correct the name, or add it to the node's DNS",
        Code.DNS_FAILURE: "on the node: resolvectl status, and: getent hosts {host}",
        Code.CONNECTION_REFUSED: f"check that the registry is up and the port is right; {_REACH}",
        Code.CONNECTION_TIMEOUT: f"check whether a firewall drops the packets; {_REACH}",
        Code.CONNECTION_RESET: f"check whether a firewall or the server resets the connection; {_REACH}",
        Code.CONNECTION_CLOSED: f"check that the load balancer has a healthy backend; {_REACH}",
        Code.NETWORK_UNREACHABLE: "on the node: ip route get ADDRESS   # ADDRESS is an address of {host}",
        Code.RATE_LIMITED: "wait, pull with a login, or pull through a mirror; this is not a trust problem",
        Code.REGISTRY_ERROR: _LOGS,
        Code.KUBELET_THROTTLED: "wait, or raise registryPullQPS and registryBurst in the kubelet's configuration",
        Code.PULL_CANCELLED: "on the node: journalctl -u {unit} --since -1h   # check image_pull_progress_timeout",
        Code.DISK_FULL: "on the node: df -h {data}",
        Code.UNPACK_FAILED: "on the node: journalctl -u {unit} --since -1h   # and check whether the image unpacks "
        "on another machine",
        Code.RUNTIME_UNAVAILABLE: "on the node: systemctl status {unit}; journalctl -u {unit} --since -1h",
        Code.UNKNOWN: "kubectl describe pod NAME -n NAMESPACE   # the event `Failed` contains the whole message",
    }
)


# Clouds whose nodes log in by their own identity, before any pull secret.
_IDENTITIES: Final = (
    (
        is_ecr,
        (
            "give the node's IAM role AmazonEC2ContainerRegistryReadOnly, and check the kubelet's credential provider "
            "(ecr-credential-provider in --image-credential-provider-config)   # a pull secret with the password of "
            "`aws ecr get-login-password` lasts 12 hours"
        ),
    ),
    (
        is_acr,
        (
            "give the kubelet's identity the role AcrPull: az aks update -n CLUSTER -g GROUP --attach-acr NAME   # "
            "NAME is the first label of {registry}; outside AKS: acr-credential-provider, or a pull secret"
        ),
    ),
    (
        is_google,
        (
            "give the node's service account roles/artifactregistry.reader on the repository   # outside Google Cloud: "
            "a pull secret with user _json_key"
        ),
    ),
)
_LOGINS: Final = frozenset({Code.AUTH_MISSING, Code.AUTH_REJECTED})


def next_step(code: Code, parsed: ParsedMessage, template: str = "") -> str:
    """Return the next step for a cause: text to paste into a shell, with the names from the message filled in.

    Args:
        code: The cause.
        parsed: The message with the names.
        template: Replaces the cause's usual step if the message calls for another one.
    """
    return _fill(template or _template(code, parsed), parsed)


def _fill(template: str, parsed: ParsedMessage) -> str:
    endpoint, registry = parsed.endpoint, registry_of(parsed.image)
    host = _safe(_ADDRESS, endpoint.host, "HOST")
    address = _safe(_ADDRESS, endpoint.address if endpoint.host else registry, "HOST")
    is_registry = endpoint.role is Role.REGISTRY
    names = {
        "host": host,
        "address": address,
        "dial": f"{host}:{endpoint.port}",
        "san": f"IP:{host}" if host.replace(".", "").isdigit() or ":" in host else f"DNS:{host}",
        "registry": _safe(_ADDRESS, registry, address if is_registry else "HOST"),
        "requested": _safe(_ADDRESS, parsed.requested or registry, address if is_registry else "HOST"),
        "role": str(endpoint.role),
        "image": _safe(_IMAGE, parsed.image, "IMAGE"),
        "repository": _safe(_IMAGE, parsed.image.partition("@")[0], "IMAGE"),
    }
    software = software_of(parsed.runtime, parsed.platform)
    names |= {field.name: getattr(software, field.name).format(**names) for field in fields(software)}
    return template.format(**names)


# What decides between causes that a message cannot tell apart: the first entry with two of the causes.
_DECISIONS: Final[tuple[tuple[frozenset[Code], str], ...]] = (
    (
        frozenset(
            {*NOT_TRUSTED, Code.TLS_INTERCEPTED, Code.TOKEN_SERVICE_UNTRUSTED, Code.BLOB_HOST_UNTRUSTED}
            | {Code.NAME_MISMATCH, Code.NO_SUBJECT_ALT_NAME, Code.WEAK_CERTIFICATE, Code.CA_REKEYED, Code.CA_NOT_A_CA}
        ),
        (
            "trustplane check --registry {address}   # run it in the node's network: shows who issued the certificate, "
            "and whether the chain is complete"
        ),
    ),
    (
        frozenset({Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND}),
        (
            "skopeo inspect --raw --authfile config.json docker://{image}   # config.json is the pull secret's: works, "
            "so the pod does not use it; 401, wrong login; denied, no right; not found, wrong name"
        ),
    ),
    (
        frozenset({Code.TLS_VERSION, Code.CLIENT_CERTIFICATE_REQUIRED, Code.NAME_MISMATCH, Code.TLS_INTERCEPTED}),
        (
            "openssl s_client -connect {dial} -servername {host} </dev/null   # run it on the node: shows the version, "
            "the certificate, and whether the server requests one of the client"
        ),
    ),
    (
        frozenset(
            {Code.CONNECTION_TIMEOUT, Code.TLS_TIMEOUT, Code.DNS_FAILURE, Code.REGISTRY_ERROR, Code.CONNECTION_CLOSED}
            | {Code.CONNECTION_REFUSED, Code.CONNECTION_RESET, Code.PLAIN_HTTP, Code.NOT_A_REGISTRY, Code.PROXY_FAILED}
            | {Code.TOKEN_SERVICE_BROKEN}
        ),
        "on the node: curl -v https://{address}/v2/   # stops at the step that fails: name, connection, TLS, or answer",
    ),
    (
        frozenset({Code.UNPACK_FAILED, Code.DISK_FULL, Code.DIGEST_MISMATCH, Code.PLATFORM_MISSING}),
        "on the node: df -h {data}; journalctl -u {unit} --since -1h   # full, or the error of the unpacking itself",
    ),
)


def deciding_step(codes: Iterable[Code], parsed: ParsedMessage) -> str:
    """Return the command that decides between causes of one message; "" if no single one does."""
    causes = frozenset(codes)
    template = next((step for group, step in _DECISIONS if len(group & causes) > 1), "")
    return _fill(template, parsed)


def _template(code: Code, parsed: ParsedMessage) -> str:
    step, registry = _STEPS[code], registry_of(parsed.image)
    software = software_of(parsed.runtime, parsed.platform)
    if software.trust and step.startswith(_ADD):
        return f"trustplane fetch-ca {{address}}   # on the node, write the CA to {software.trust}{step[len(_ADD) :]}"
    identities = (identity for is_its, identity in _IDENTITIES if code in _LOGINS and is_its(registry))
    return next(identities, step)


def _safe(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    return text if pattern.fullmatch(text) else otherwise
