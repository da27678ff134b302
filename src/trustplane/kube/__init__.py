"""The Kubernetes layer: client, informer, work queue, controller runtime, leader lease, events."""
