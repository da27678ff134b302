"""The next step for a cause in the light of a case: with the names of cluster, node, pod and CA. Pure."""

import re
from typing import Final

from trustplane.diagnosis.advice import next_step
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.evidence import Case, PullSecret, SecretState
from trustplane.diagnosis.explanation import Explanation
from trustplane.diagnosis.finding import Authority, Finding
from trustplane.diagnosis.reading import read

# What comes from elsewhere goes into a command line only if a shell takes it as it is.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_ADDRESS: Final = re.compile(r"\[?[A-Za-z0-9][A-Za-z0-9.:_-]{0,260}\]?")
_LISTED: Final = frozenset(
    {
        Code.ISSUER_NOT_TRUSTED,
        Code.SELF_SIGNED_SERVER,
        Code.CA_REKEYED,
        Code.TOKEN_SERVICE_UNTRUSTED,
        Code.BLOB_HOST_UNTRUSTED,
    }
)


def of(case: Case, code: Code, explanation: Explanation | None, finding: Finding, address: str = "") -> str:
    """Say what to do about a cause, in words that may be pasted into a shell; `address` is the host that failed."""
    if finding.step:
        return filled(case, finding.step)
    if code in _LISTED and finding.authority:
        return _listed(case, finding.authority, address)
    if code is Code.TRUST_NOT_APPLIED and case.cluster:
        return filled(case, "trustplane update CLUSTER -n NAMESPACE_OF_CLUSTER", "then: trustplane status CLUSTER")
    if code in {Code.AUTH_MISSING, Code.PULL_SECRET_MALFORMED} and case.secrets:
        return _secret(case, case.secrets)
    if code is Code.AUTH_REJECTED and (shown := [one for one in case.secrets or () if _is_shown(one)]):
        return _made_anew(case, shown[0])
    reading = explanation.reading if explanation else read(f'Failed to pull image "{_image(case)}": ')[0]
    return filled(case, next_step(code, reading))


def filled(case: Case, words: str, comment: str = "") -> str:
    """Put the case's names in the place of the general ones."""
    whole = f"{words}   # {comment}" if comment else words
    namespace, _, name = case.cluster.rpartition("/")
    pod_namespace, _, pod = case.subject.rpartition("/")
    names = {
        "NAMESPACE_OF_CLUSTER": namespace,
        "NAMESPACE": pod_namespace,
        "CLUSTER": name,
        "kubectl describe pod NAME": f"kubectl describe pod {pod}" if pod else "",
        "on the node:": f"on node {case.node.name}:" if case.node and _NAME.fullmatch(case.node.name) else "",
    }
    for general, own in names.items():
        if own and (" " in own or _NAME.fullmatch(own)):
            whole = re.sub(rf"(?<![A-Z_]){re.escape(general)}(?![A-Z_])", own, whole)
    return whole


def _image(case: Case) -> str:
    return case.image or f"{case.registry}/IMAGE"


def _listed(case: Case, authority: Authority, address: str) -> str:
    command = filled(case, "trustplane update CLUSTER -n NAMESPACE_OF_CLUSTER")
    update = command if case.cluster else "have the nodes take it"
    address = address if _ADDRESS.fullmatch(address) else "HOST"
    if not authority.fingerprint:
        return (
            f"ask the registry's owner for the certificate of {authority.subject}; add it to "
            f"spec.trust.additionalTrustedCAs, then: {update}"
        )
    if authority.name and case.service and authority.where == case.service.owner:
        return (
            f"the cluster's own list replaces the service's: add entry {authority.name} to "
            f"spec.settings.network.trust.additionalTrustedCAs, or annotate it trustplane.dev/trust-merge=Append; "
            f"then: {update}"
        )
    if authority.name:
        return (
            f"add entry {authority.name} of {authority.where} to spec.trust.additionalTrustedCAs of the "
            f"TkgServiceConfiguration, then: {update}"
        )
    return (
        f"trustplane fetch-ca {address}   # compare SHA-256 {authority.fingerprint[:16]}... with its owner, add the "
        f"entry to spec.trust.additionalTrustedCAs, then: {update}"
    )


def _secret(case: Case, secrets: tuple[PullSecret, ...]) -> str:
    broken = {SecretState.WRONG_TYPE, SecretState.MALFORMED}
    chosen = next((one for one in secrets if one.state in broken), secrets[0])
    if chosen.state is SecretState.USABLE:
        return f"delete the pod, so that it is made anew: it takes pull secret {chosen.name} of its ServiceAccount"
    return _made_anew(case, chosen)


def _is_shown(secret: PullSecret) -> bool:
    """Tell whether the kubelet shows this login: not one that a ServiceAccount got after the pod was made."""
    return secret.state is SecretState.USABLE and secret.named_by == "the pod"


def _made_anew(case: Case, secret: PullSecret) -> str:
    namespace = case.subject.partition("/")[0] or "NAMESPACE"
    registry = case.registry if _ADDRESS.fullmatch(case.registry) else "HOST"
    make = (
        f"kubectl create secret generic {secret.name} -n {namespace} --type=kubernetes.io/dockerconfigjson "
        f"--from-file=.dockerconfigjson=config.json   # config.json: with a login to {registry}"
    )
    is_there = secret.state not in {SecretState.MISSING, SecretState.ELSEWHERE}
    return f"kubectl delete secret {secret.name} -n {namespace} && {make}" if is_there else make
