"""Prometheus metrics of the Kubernetes layer, served at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("trustplane_reconcile", "Finished reconciles", ["controller", "result"])
RECONCILE_SECONDS = Histogram("trustplane_reconcile_seconds", "Duration of a reconcile", ["controller"])
QUEUE_DEPTH = Gauge("trustplane_queue_depth", "Keys waiting for a worker", ["controller"])
WATCH_RESTARTS = Counter("trustplane_watch_restarts", "Restarted watches and lists", ["resource", "cause"])
UNREADABLE = Gauge("trustplane_unreadable_objects", "Objects skipped because they cannot be decoded", ["resource"])
LISTENER_ERRORS = Counter("trustplane_listener_errors", "Changes for which an informer's listener failed", ["resource"])
LEADER = Gauge("trustplane_leader", "1 while this process holds the lease", ["lease"])
