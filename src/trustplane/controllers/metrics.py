"""What the controllers count, in Prometheus's terms; served at /metrics with what the Kubernetes layer counts."""

from prometheus_client import Counter, Gauge

FAILING_PULLS = Gauge(
    "trustplane_failing_pulls",
    "Pods that wait for an image in vain, as ClusterTrusts list them; those that are not listed have no host and cause",
    ["namespace", "cluster", "host", "cause"],
)
UNREADABLE_CLUSTERS = Gauge(
    "trustplane_unreadable_clusters", "Clusters of whose trust something is recorded that cannot be read"
)
PULL_EVENTS = Counter("trustplane_pull_events", "Events on pods that wait for an image in vain", ["result"])
