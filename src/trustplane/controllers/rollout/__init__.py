"""Controllers of rollouts: execute each cluster's plan, and report its progress."""
