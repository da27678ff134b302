"""How a changed trust set comes to a cluster's machines: one pure function, `plan.plan`, from what is observed."""
