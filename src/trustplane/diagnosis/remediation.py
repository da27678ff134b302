"""The next step for a cause in a case, with the names of cluster, node, pod and CA filled in. Pure."""

import re
from typing import Final

from trustplane.diagnosis.advice import next_step
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.conclusion import Authority, Conclusion
from trustplane.diagnosis.credentials import is_used
from trustplane.diagnosis.evidence import Case, PullSecret, SecretState
from trustplane.diagnosis.explanation import Explanation
from trustplane.diagnosis.message_parser import parse_message

# Untrusted text goes into a command line only if a shell does not interpret any of it.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_ADDRESS: Final = re.compile(r"\[?[A-Za-z0-9][A-Za-z0-9.:_-]{0,260}\]?")
_MISSING_CA: Final = frozenset(
    {
        Code.ISSUER_NOT_TRUSTED,
        Code.SELF_SIGNED_SERVER,
        Code.CA_REKEYED,
        Code.TOKEN_SERVICE_UNTRUSTED,
        Code.BLOB_HOST_UNTRUSTED,
    }
)


def case_next_step(
    case: Case, code: Code, explanation: Explanation | None, conclusion: Conclusion, address: str = ""
) -> str:
    """Return the next step for a cause: text to paste into a shell; `address` is the host that failed."""
    if conclusion.step:
        return fill_names(case, conclusion.step)
    if code in _MISSING_CA and conclusion.authority:
        return _add_ca(case, conclusion.authority, address)
    if code is Code.TRUST_NOT_APPLIED and case.cluster:
        return fill_names(case, "trustplane update CLUSTER -n NAMESPACE_OF_CLUSTER", "then: trustplane status CLUSTER")
    if code in {Code.AUTH_MISSING, Code.PULL_SECRET_MALFORMED} and case.secrets:
        return _repair_secret(case, case.secrets)
    if code is Code.AUTH_REJECTED and (used := [secret for secret in case.secrets or () if is_used(secret)]):
        return _recreate_secret(case, used[0])
    parsed = explanation.parsed if explanation else parse_message(f'Failed to pull image "{_image(case)}": ')[0]
    return fill_names(case, next_step(code, parsed))


def fill_names(case: Case, command: str, comment: str = "") -> str:
    """Replace the placeholders in a command with the case's names, as far as they are known."""
    text = f"{command}   # {comment}" if comment else command
    namespace, _, name = case.cluster.rpartition("/")
    pod_namespace, _, pod = case.subject.rpartition("/")
    names = {
        "NAMESPACE_OF_CLUSTER": namespace,
        "NAMESPACE": pod_namespace,
        "CLUSTER": name,
        "kubectl describe pod NAME": f"kubectl describe pod {pod}" if pod else "",
        "on the node:": f"on node {case.node.name}:" if case.node and _NAME.fullmatch(case.node.name) else "",
    }
    for placeholder, value in names.items():
        if value and (" " in value or _NAME.fullmatch(value)):
            text = re.sub(rf"(?<![A-Z_]){re.escape(placeholder)}(?![A-Z_])", value, text)
    return text


def _image(case: Case) -> str:
    return case.image or f"{case.registry}/IMAGE"


def _add_ca(case: Case, authority: Authority, address: str) -> str:
    command = fill_names(case, "trustplane update CLUSTER -n NAMESPACE_OF_CLUSTER")
    update = command if case.cluster else "update the nodes"
    address = address if _ADDRESS.fullmatch(address) else "HOST"
    if not authority.fingerprint:
        return (
            f"ask the registry's owner for the certificate of {authority.subject}; add it to "
            f"spec.trust.additionalTrustedCAs, then: {update}"
        )
    if authority.name and case.service and authority.source == case.service.owner:
        return (
            f"the cluster's own list replaces the service's: add entry {authority.name} to "
            f"spec.settings.network.trust.additionalTrustedCAs, or annotate the cluster with "
            f"trustplane.dev/trust-merge=Append; then: {update}"
        )
    if authority.name:
        return (
            f"add entry {authority.name} from {authority.source} to spec.trust.additionalTrustedCAs of the "
            f"TkgServiceConfiguration, then: {update}"
        )
    return (
        f"trustplane fetch-ca {address}   # compare SHA-256 {authority.fingerprint[:16]}... with the CA's owner, add "
        f"the entry to spec.trust.additionalTrustedCAs, then: {update}"
    )


def _repair_secret(case: Case, secrets: tuple[PullSecret, ...]) -> str:
    broken = {SecretState.WRONG_TYPE, SecretState.MALFORMED}
    chosen = next((secret for secret in secrets if secret.state in broken), secrets[0])
    if chosen.state is SecretState.USABLE:
        return f"delete the pod: its replacement uses pull secret {chosen.name} of its ServiceAccount"
    return _recreate_secret(case, chosen)


def _recreate_secret(case: Case, secret: PullSecret) -> str:
    namespace = case.subject.partition("/")[0] or "NAMESPACE"
    registry = case.registry if _ADDRESS.fullmatch(case.registry) else "HOST"
    create = (
        f"kubectl create secret generic {secret.name} -n {namespace} --type=kubernetes.io/dockerconfigjson "
        f"--from-file=.dockerconfigjson=config.json   # config.json must contain a login to {registry}"
    )
    exists = secret.state not in {SecretState.MISSING, SecretState.ELSEWHERE}
    return f"kubectl delete secret {secret.name} -n {namespace} && {create}" if exists else create
