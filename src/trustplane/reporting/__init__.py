"""Reports: statuses, conditions, risks and pull failures. Pure."""
