"""The steps of a rollout: writes nodes, boot data and Secrets, and replaces machines."""
