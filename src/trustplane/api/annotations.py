"""Annotation and label names: the policies that users set, and what Trustplane remembers in the Cluster."""

# Policies, on a TanzuKubernetesCluster or the TkgServiceConfiguration; the nearer wins.
PROPAGATION = "trustplane.dev/propagation"
TRUST_MERGE = "trustplane.dev/trust-merge"
UPDATE_REQUESTED_AT = "trustplane.dev/update-requested-at"
UPDATE_STRATEGY = "trustplane.dev/update-strategy"  # also on a Cluster

# With a trust list, on the object that has it: which of its entries are for some registries only (`trust.scope`).
REGISTRY_SCOPE = "trustplane.dev/registry-scope"

# Permission, on the object that holds a list: an update may remove more than half of it, or all.
ALLOW_REMOVAL = "trustplane.dev/allow-removal"

# What was last taken, on the Cluster, written in the same apply as its variable `trust`.
TRUST_DIGEST = "trustplane.dev/trust-digest"
OWN_TRUST_DIGEST = "trustplane.dev/own-trust-digest"
UPDATE_DIGESTS = "trustplane.dev/update-digests"
UPDATE_HANDLED_AT = "trustplane.dev/update-handled-at"
FIRST_CUSTOMISATION_HANDLED = "trustplane.dev/first-customisation-handled"
TRUST_REASON = "trustplane.dev/trust-reason"
TRUST_CHANGE = "trustplane.dev/trust-change"

# How the set in force reaches nodes, on the Cluster: `clusterapi.rollout`.
ROLLOUT = "trustplane.dev/rollout"
IN_PLACE_REFUSED = "trustplane.dev/in-place-refused"  # digest of the set whose machines differ in more than trust
TRUST_CANARY = "trustplane.dev/trust-canary"  # which machine takes a changed set first

# Cluster API's own, see api/core/v1beta2/common_types.go of its module.
CLUSTER_NAME_LABEL = "cluster.x-k8s.io/cluster-name"
CONTROL_PLANE_LABEL = "cluster.x-k8s.io/control-plane"
PAUSED = "cluster.x-k8s.io/paused"
DEPLOYMENT_NAME_LABEL = "topology.cluster.x-k8s.io/deployment-name"
UPDATE_IN_PROGRESS = "in-place-updates.internal.cluster.x-k8s.io/update-in-progress"
PENDING_MOVE = "in-place-updates.internal.cluster.x-k8s.io/pending-acknowledge-move"  # to another MachineSet
PENDING_HOOKS = "runtime.cluster.x-k8s.io/pending-hooks"

# Ours, on objects that we make.
COMPONENT_LABEL = "trustplane.dev/component"
TRUST_COMPONENT = "trust"
