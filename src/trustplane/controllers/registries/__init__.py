"""Reports each Registry: its chain, its proofs, certificates at risk."""
