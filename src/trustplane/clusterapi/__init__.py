"""Translation between Trustplane's objects and those of Cluster API. Pure: no I/O."""
