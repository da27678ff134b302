"""Trustplane: every node of a Kubernetes fleet trusts private registries' CAs, provably."""
