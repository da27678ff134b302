"""`trustplane prove`: every node proves that it trusts its registries."""
