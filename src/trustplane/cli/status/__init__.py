"""`trustplane status`: the trust of clusters and nodes, and certificates at risk."""
