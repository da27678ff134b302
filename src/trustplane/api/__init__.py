"""Objects as typed structs, their CRDs, condition types and reasons."""
