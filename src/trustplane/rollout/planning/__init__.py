"""Plan of a rollout: one pure function, `plan.plan_rollout`, from an observation to the next steps."""
