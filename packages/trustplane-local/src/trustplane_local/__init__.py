"""The local stack: real Kubernetes clusters on this machine, for experiments, the demo and tests."""
