"""Execution of a rollout's steps: writes to nodes, boot sets and Secrets, and replacement of machines."""
