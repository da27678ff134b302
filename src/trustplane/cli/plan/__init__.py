"""`trustplane plan`: the effects of a manifest before it is applied."""
