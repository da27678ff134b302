"""What the Kubernetes layer counts, in Prometheus's terms; served at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("trustplane_reconcile", "Reconciles that ended", ["controller", "result"])
RECONCILE_SECONDS = Histogram("trustplane_reconcile_seconds", "Duration of a reconcile", ["controller"])
QUEUE_DEPTH = Gauge("trustplane_queue_depth", "Keys that wait for a worker", ["controller"])
WATCH_RESTARTS = Counter("trustplane_watch_restarts", "Watches and lists that were begun again", ["resource", "cause"])
UNREADABLE = Gauge("trustplane_unreadable_objects", "Objects that could not be decoded and are skipped", ["resource"])
LISTENER_ERRORS = Counter("trustplane_listener_errors", "Changes on which a listener of ours failed", ["resource"])
LEADER = Gauge("trustplane_leader", "1 while this process holds the lease", ["lease"])
