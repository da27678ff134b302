"""The local stack: real Kubernetes clusters on this machine, for trying things out and for tests."""
