"""Controllers, one package or module per kind: observe, let pure functions decide, write, report."""
