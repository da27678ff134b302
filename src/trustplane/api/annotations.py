"""Annotation and label names: the policies that users set, and what Trustplane remembers in the Cluster."""

# Policies, on a TanzuKubernetesCluster or the TkgServiceConfiguration; the nearer wins.
PROPAGATION = "trustplane.dev/propagation"
TRUST_MERGE = "trustplane.dev/trust-merge"
UPDATE_REQUESTED_AT = "trustplane.dev/update-requested-at"
UPDATE_STRATEGY = "trustplane.dev/update-strategy"  # also on a Cluster
REPLACE_UNREACHABLE = "trustplane.dev/replace-unreachable"  # the time of the request for an update that asks for it

# With a trust list, on the object that has it: which of its entries are for some registries only (`trust.scope`).
REGISTRY_SCOPE = "trustplane.dev/registry-scope"

# On a Cluster without a topology: the Secret, of keys `<name>.pem`, that its nodes are to trust.
TRUST_SECRET = "trustplane.dev/trust-secret"  # noqa: S105  the annotation's name

# On a TanzuKubernetesCluster: the set that `trustplane undo` has brought back (`propagation.Pin`).
TRUST_PIN = "trustplane.dev/trust-pin"

# Permission, on the object that holds a list: an update may remove more than half of it, or all.
ALLOW_REMOVAL = "trustplane.dev/allow-removal"

# What was last taken, on the Cluster, by the rules of propagation.
TRUST_DIGEST = "trustplane.dev/trust-digest"
OWN_TRUST_DIGEST = "trustplane.dev/own-trust-digest"
UPDATE_DIGESTS = "trustplane.dev/update-digests"
UPDATE_HANDLED_AT = "trustplane.dev/update-handled-at"
FIRST_CUSTOMISATION_HANDLED = "trustplane.dev/first-customisation-handled"
TRUST_REASON = "trustplane.dev/trust-reason"
TRUST_CHANGE = "trustplane.dev/trust-change"
TRUST_PREVIOUS = "trustplane.dev/trust-previous"  # digest of the set before

# How the set in force reaches nodes, on the Cluster: `trust.rollout`.
TRUST_CANARY = "trustplane.dev/trust-canary"  # which machine takes a changed set alone
TRUST_PROVEN = "trustplane.dev/trust-proven"  # digest of the set that a node of the cluster proved last

# Cluster API's own, see api/core/v1beta2/common_types.go of its module.
CLUSTER_NAME_LABEL = "cluster.x-k8s.io/cluster-name"
CONTROL_PLANE_LABEL = "cluster.x-k8s.io/control-plane"
PAUSED = "cluster.x-k8s.io/paused"
REMEDIATE = "cluster.x-k8s.io/remediate-machine"  # has the MachineHealthCheck of a Machine take it for unhealthy
SKIP_REMEDIATION = "cluster.x-k8s.io/skip-remediation"
DEPLOYMENT_LABEL = "cluster.x-k8s.io/deployment-name"
DEPLOYMENT_NAME_LABEL = "topology.cluster.x-k8s.io/deployment-name"
UPDATE_IN_PROGRESS = "in-place-updates.internal.cluster.x-k8s.io/update-in-progress"

# Ours, on objects that we make.
CLUSTER_LABEL = "trustplane.dev/cluster"  # not Cluster API's: its managers would keep each such Secret in memory
COMPONENT_LABEL = "trustplane.dev/component"
TRUST_COMPONENT = "trust"
BOOT_COMPONENT = "trust-boot"
