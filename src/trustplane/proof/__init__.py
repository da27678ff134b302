"""Proof that a node trusts a registry: a pull by the node's own kubelet."""
