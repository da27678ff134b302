"""Controllers, one module per kind: observe, let the pure packages decide, write, report."""
