"""Collectors of evidence about failed pulls: each reads one source within a time limit, and decides nothing."""
