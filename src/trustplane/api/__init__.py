"""Typed structs of API objects, their CRDs, condition types and reasons."""
