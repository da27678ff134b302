"""Trust sets, and the rules by which a cluster takes them."""
