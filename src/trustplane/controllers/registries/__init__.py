"""Controllers of Registries: chain, proofs and certificates at risk of each."""
