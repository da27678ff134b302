"""`trustplane diagnose`: the cause of failed image pulls, from evidence."""
