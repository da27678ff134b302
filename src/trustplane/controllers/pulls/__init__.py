"""Explains failing image pulls in workload clusters, as Events on their pods."""
