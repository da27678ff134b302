"""The rollout of a cluster's trust: `planning` decides (pure), `execution` acts."""
