"""`trustplane update`: bring a cluster's trust up to date now."""
