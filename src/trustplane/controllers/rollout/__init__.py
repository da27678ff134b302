"""Carries out the plan of each cluster's rollout."""
