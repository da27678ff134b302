"""Certificates of trust lists: parse, normalise, fingerprint."""
