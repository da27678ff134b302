"""Names of annotations and labels: policies set by users, and state stored by Trustplane."""

# Policies, on a TanzuKubernetesCluster or the TkgServiceConfiguration; the cluster's takes precedence.
PROPAGATION = "trustplane.dev/propagation"
TRUST_MERGE = "trustplane.dev/trust-merge"
UPDATE_REQUESTED_AT = "trustplane.dev/update-requested-at"
UPDATE_STRATEGY = "trustplane.dev/update-strategy"  # also on a Cluster
REPLACE_UNREACHABLE = "trustplane.dev/replace-unreachable"  # time of the update request that allows it

# On an object with a trust list: its registry-scoped entries (`trust.scope`).
REGISTRY_SCOPE = "trustplane.dev/registry-scope"

# On a Cluster without a topology: the Secret with the certificates its nodes must trust, keys `<name>.pem`.
TRUST_SECRET = "trustplane.dev/trust-secret"  # noqa: S105  the annotation's name

# On a TanzuKubernetesCluster: the set restored by `trustplane undo` (`propagation.UndoPin`).
TRUST_PIN = "trustplane.dev/trust-pin"

# On an object with a trust list: an update may remove more than half of the list, or all of it.
ALLOW_REMOVAL = "trustplane.dev/allow-removal"

# On the Cluster: the set last taken, and the propagation rule behind it.
TRUST_DIGEST = "trustplane.dev/trust-digest"
OWN_TRUST_DIGEST = "trustplane.dev/own-trust-digest"
UPDATE_DIGESTS = "trustplane.dev/update-digests"
UPDATE_HANDLED_AT = "trustplane.dev/update-handled-at"
FIRST_CUSTOMISATION_HANDLED = "trustplane.dev/first-customisation-handled"
TRUST_REASON = "trustplane.dev/trust-reason"
TRUST_CHANGE = "trustplane.dev/trust-change"
TRUST_PREVIOUS = "trustplane.dev/trust-previous"  # digest of the previous set

# On the Cluster: state of the rollout (`rollout.planning`).
TRUST_CANARY = "trustplane.dev/trust-canary"  # the machine that receives a changed set first
TRUST_PROVEN = "trustplane.dev/trust-proven"  # digest of the set last proven by a node of the cluster

# Cluster API's, see api/core/v1beta2/common_types.go of its module.
CLUSTER_NAME_LABEL = "cluster.x-k8s.io/cluster-name"
CONTROL_PLANE_LABEL = "cluster.x-k8s.io/control-plane"
PAUSED = "cluster.x-k8s.io/paused"
REMEDIATE = "cluster.x-k8s.io/remediate-machine"  # makes a MachineHealthCheck treat the Machine as unhealthy
SKIP_REMEDIATION = "cluster.x-k8s.io/skip-remediation"
DEPLOYMENT_LABEL = "cluster.x-k8s.io/deployment-name"
DEPLOYMENT_NAME_LABEL = "topology.cluster.x-k8s.io/deployment-name"
TOPOLOGY_OWNED_LABEL = "topology.cluster.x-k8s.io/owned"  # of objects that Cluster API derives from a topology
UPDATE_IN_PROGRESS = "in-place-updates.internal.cluster.x-k8s.io/update-in-progress"

# Trustplane's labels, on objects it creates.
CLUSTER_LABEL = "trustplane.dev/cluster"  # Cluster API's label would make its managers cache each such Secret
COMPONENT_LABEL = "trustplane.dev/component"
TRUST_COMPONENT = "trust"
BOOT_COMPONENT = "trust-boot"
