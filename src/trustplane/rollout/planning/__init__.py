"""Plan of a rollout: one pure function, `plan.plan`, from an observation to the next steps."""
