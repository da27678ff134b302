"""`trustplane explain`: the cause of a failed image pull, from its message alone."""
