"""What Trustplane asks of Cluster API, answers its hooks, and makes of its objects. Pure: no I/O."""
