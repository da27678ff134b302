"""Inspects nodes and runs proofs: after each change, on a schedule, and on demand."""
