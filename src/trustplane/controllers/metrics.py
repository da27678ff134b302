"""Prometheus metrics of the controllers, served at /metrics with those of `trustplane.kube`."""

from prometheus_client import Counter, Gauge

FAILING_PULLS = Gauge(
    "trustplane_failing_pulls",
    "Pods with failing image pulls, as listed in ClusterTrusts; host and cause are empty for pods beyond the list",
    ["namespace", "cluster", "host", "cause"],
)
UNREADABLE_CLUSTERS = Gauge("trustplane_unreadable_clusters", "Clusters with trust records that cannot be read")
PULL_EVENTS = Counter("trustplane_pull_events", "Events on pods with failing image pulls, by result", ["result"])
