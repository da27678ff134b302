"""Condition types and reasons, with the names of the original product.

Source: `conditions_consts.go` of run.tanzu.vmware.com/v1alpha2; TRUST_* are Trustplane's.
"""

from typing import Final

# Values of a condition's status.
TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"

READY: Final = "Ready"
CONTROL_PLANE_READY: Final = "ControlPlaneReady"
NODE_POOLS_READY: Final = "NodePoolsReady"
ADDONS_READY: Final = "AddonsReady"
NODES_HEALTHY: Final = "NodesHealthy"
PROVIDER_SERVICE_ACCOUNTS_READY: Final = "ProviderServiceAccountsReady"
ROLE_BINDING_SYNCED: Final = "RoleBindingSynced"
STORAGE_CLASS_SYNCED: Final = "StorageClassSynced"
SERVICE_DISCOVERY_READY: Final = "ServiceDiscoveryReady"
RELEASE_COMPATIBLE: Final = "TanzuKubernetesReleaseCompatible"
UPDATES_AVAILABLE: Final = "UpdatesAvailable"
TRUST_CURRENT: Final = "TrustCurrent"
TRUST_VALID: Final = "TrustValid"

# Of Machines and Clusters of Cluster API.
TRUST_UP_TO_DATE: Final = "trustplane.dev/TrustUpToDate"

# Ready takes reason and message from the first of these that is not True.
READY_PRIORITY: Final = (
    CONTROL_PLANE_READY,
    NODE_POOLS_READY,
    ADDONS_READY,
    NODES_HEALTHY,
    PROVIDER_SERVICE_ACCOUNTS_READY,
    ROLE_BINDING_SYNCED,
    STORAGE_CLASS_SYNCED,
    SERVICE_DISCOVERY_READY,
)

# Conditions of a TanzuKubernetesRelease (and Ready).
COMPATIBLE: Final = "Compatible"
VALID: Final = "Valid"

WAITING_FOR_CLUSTER_INFRASTRUCTURE: Final = "WaitingForClusterInfrastructure"
WAITING_FOR_CONTROL_PLANE_INITIALIZED: Final = "WaitingForControlPlaneInitialized"
WAITING_FOR_CONTROL_PLANE: Final = "WaitingForControlPlane"
WAITING_FOR_NODES_HEALTHY: Final = "WaitingForNodesHealthy"
NODE_POOLS_UNKNOWN: Final = "NodePoolsUnknown"
NODE_POOLS_UPDATING: Final = "NodePoolsUpdating"
NODE_POOLS_FAILED: Final = "NodePoolsFailed"
ADDONS_RECONCILIATION_FAILED: Final = "AddonsReconciliationFailed"
PROVISIONING_FAILED: Final = "ProvisioningFailed"
ADDON_UNMANAGED: Final = "AddonUnManaged"
STORAGE_CLASS_SYNC_FAILED: Final = "StorageClassSyncFailed"
ROLE_BINDING_SYNC_FAILED: Final = "RoleBindingSyncFailed"
WAITING_FOR_CONDITIONS: Final = "WaitingForConditions"

# Trustplane's reasons.
DELETING: Final = "Deleting"
RELEASE_FOUND: Final = "ReleaseFound"
RELEASE_UNKNOWN: Final = "ReleaseUnknown"
NO_UPDATES: Final = "NoUpdates"
NEWER_RELEASES: Final = "NewerReleases"
TRUST_INVALID: Final = "Invalid"
TRUST_WARNINGS: Final = "Warnings"
TRUST_HELD: Final = "Held"
TRUST_UPDATING: Final = "Updating"
TRUST_STOPPED: Final = "Stopped"
TRUST_UNDONE: Final = "Undone"
