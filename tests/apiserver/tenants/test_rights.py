"""Actions that RBAC forbids to a tenant, on all objects of others."""

import json
from typing import Any

import pytest
from tests.apiserver.controllers.conftest import SYSTEM, entry
from tests.apiserver.tenants.stage import ATTACKER, CAS, VICTIM, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

TANZU = "/apis/run.tanzu.vmware.com/v1alpha3"
CAPI = "/apis/cluster.x-k8s.io/v1beta2"
OURS = "/apis/trustplane.dev/v1alpha1"
MERGE = "application/merge-patch+json"
APPLIED = {"metadata": {"annotations": {"trustplane.dev/trust-applied": "{}", "trustplane.dev/trust-proof": "{}"}}}
EMPTY_LIST = {"spec": {"settings": {"network": {"trust": {"additionalTrustedCAs": [entry("evil", CAS[1])]}}}}}
REGISTRY = {
    "apiVersion": "trustplane.dev/v1alpha1",
    "kind": "Registry",
    "metadata": {"name": "mine"},
    "spec": {"host": "r.test", "pullSecretRef": {"namespace": VICTIM, "name": "pull"}},
}
CONFIGURATION = {"spec": {"trust": {"additionalTrustedCAs": [entry("evil", CAS[1])]}}}
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
RENEWED = {"spec": {"holderIdentity": "mallory"}}
FORGED = {
    "apiVersion": "trustplane.dev/v1alpha1",
    "kind": "ClusterTrust",
    "metadata": {"name": "shop", "namespace": ATTACKER},
}
CORE = f"/api/v1/namespaces/{VICTIM}"

FORBIDDEN: dict[str, tuple[str, str, Any]] = {
    "read-kubeconfig": ("GET", f"{CORE}/secrets/shop-kubeconfig", None),
    "list-secrets": ("GET", f"{CORE}/secrets", None),
    "list-all-secrets": ("GET", "/api/v1/secrets", None),
    "write-ssh-key": ("PATCH", f"{CORE}/secrets/shop-ssh", {"data": {"ssh-privatekey": "eA=="}}),
    "change-cluster": ("PATCH", f"{TANZU}/namespaces/{VICTIM}/tanzukubernetesclusters/shop", EMPTY_LIST),
    "delete-cluster": ("DELETE", f"{TANZU}/namespaces/{VICTIM}/tanzukubernetesclusters/shop", None),
    "annotate-capi-cluster": ("PATCH", f"{CAPI}/namespaces/{VICTIM}/clusters/shop", APPLIED),
    "forge-proof": ("PATCH", f"{CAPI}/namespaces/{VICTIM}/machines/shop-0", APPLIED),
    "change-service-list": ("PATCH", f"{TANZU}/tkgserviceconfigurations/tkg-service-configuration", CONFIGURATION),
    "delete-service-list": ("DELETE", f"{TANZU}/tkgserviceconfigurations/tkg-service-configuration", None),
    "make-registry": ("POST", f"{OURS}/registries", REGISTRY),
    "make-clustertrust": ("POST", f"{OURS}/namespaces/{ATTACKER}/clustertrusts", FORGED),
    "report-clustertrust": ("PATCH", f"{OURS}/namespaces/{VICTIM}/clustertrusts/shop/status", {"status": {}}),
    "own-machine-status": ("PATCH", f"{CAPI}/namespaces/{ATTACKER}/machines/x/status", {"status": {}}),
    "token-of-the-manager": (
        "POST",
        f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/trustplane-manager/token",
        TOKEN,
    ),
    "take-the-lease": ("PATCH", f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/trustplane-manager", RENEWED),
    "last-good-list": ("PATCH", f"/api/v1/namespaces/{SYSTEM}/secrets/tkg-service-configuration-trust", {"data": {}}),
    "event-of-others": (
        "POST",
        f"/apis/events.k8s.io/v1/namespaces/{VICTIM}/events",
        {"metadata": {"name": "x"}, "reason": "TrustRepaired"},
    ),
    "role-for-oneself": (
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "metadata": {"name": "me"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        },
    ),
}


@pytest.mark.parametrize("attack", FORBIDDEN)
@pytest.mark.parametrize("user", ["mallory", "oscar"])
async def test_it_is_forbidden(rights: Stage, user: str, attack: str) -> None:
    method, path, body = FORBIDDEN[attack]
    kind = MERGE if method == "PATCH" else "application/json"
    status, answer = await rights.send(user, method, path, json.dumps(body).encode() if body else b"", kind)
    assert status == 403, answer


@pytest.mark.parametrize("user", ["mallory", "oscar"])
async def test_impersonation_is_forbidden(rights: Stage, user: str) -> None:
    for name in (f"system:serviceaccount:{SYSTEM}:trustplane-manager", "admin"):
        status, answer = await rights.send(user, "GET", f"{CORE}/secrets", b"", headers={"Impersonate-User": name})
        assert status == 403, answer


async def test_the_victims_clusters_work(stage: Stage) -> None:
    assert stage.manager.running
