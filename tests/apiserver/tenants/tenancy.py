"""The tenants, and their rights from the platform team."""

from tests.apiserver.conftest import ApiServer

from trustplane.api.meta import Json
from trustplane.kube.client import Client
from trustplane.kube.kinds import NAMESPACES
from trustplane.kube.resource import Resource

ATTACKER, VICTIM = "tenant-a", "tenant-b"
TENANTS = {"mallory": "mallory-token", "oscar": "oscar-token"}  # the weak one, and the strong one
_RBAC = "rbac.authorization.k8s.io"
ROLES: Resource[Json] = Resource(_RBAC, "v1", "Role", "roles", dict)
CLUSTER_ROLES: Resource[Json] = Resource(_RBAC, "v1", "ClusterRole", "clusterroles", dict, namespaced=False)
ROLE_BINDINGS: Resource[Json] = Resource(_RBAC, "v1", "RoleBinding", "rolebindings", dict)

# In addition to `edit`. A team with clusters may at least create and change TanzuKubernetesClusters: the weak tenant.
# Some may also read and change the objects of Cluster API: the strong one. No tenant may write statuses.
_OF_WEAK = [{"apiGroups": ["run.tanzu.vmware.com"], "resources": ["tanzukubernetesclusters"], "verbs": ["*"]}]
_OF_STRONG = [
    *_OF_WEAK,
    {
        "apiGroups": ["cluster.x-k8s.io", "bootstrap.cluster.x-k8s.io", "controlplane.cluster.x-k8s.io"],
        "resources": ["clusters", "machines", "machinedeployments", "kubeadmconfigs", "kubeadmcontrolplanes"],
        "verbs": ["*"],
    },
]


async def _aggregate(admin: Client) -> None:
    """Fill ClusterRole `edit` like kube-controller-manager, which does not run here."""
    rules = []
    for role in ("view", "edit"):
        found = await admin.list(CLUSTER_ROLES, labels=f"{_RBAC}/aggregate-to-{role}=true")
        rules += [rule for one in found if one["metadata"]["name"] != "edit" for rule in one.get("rules") or []]
    assert any("secrets" in rule.get("resources", []) and "create" in rule["verbs"] for rule in rules)
    await admin.patch(CLUSTER_ROLES, "edit", "", {"rules": rules})


async def grant(admin: Client) -> None:
    """Create the namespaces, and give each tenant rights in its namespace."""
    await _aggregate(admin)
    for namespace in (ATTACKER, VICTIM):
        await admin.apply(NAMESPACES, {"metadata": {"name": namespace}}, manager="test")
    for user, rules in (("mallory", _OF_WEAK), ("oscar", _OF_STRONG)):
        metadata = {"name": user, "namespace": ATTACKER}
        await admin.apply(ROLES, {"metadata": metadata, "rules": rules}, manager="test")
        for kind, name in (("Role", user), ("ClusterRole", "edit")):
            body = {
                "metadata": {"name": f"{user}-{name}", "namespace": ATTACKER},
                "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
                "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
            }
            await admin.apply(ROLE_BINDINGS, body, manager="test")


def user_of(apiserver: ApiServer, token: str) -> Json:
    """Return the kubeconfig of a user by token."""
    return {**apiserver.kubeconfig, "users": [{"name": "test", "user": {"token": token}}]}
