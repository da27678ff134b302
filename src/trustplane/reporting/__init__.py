"""What Trustplane reports: statuses, conditions, risks, pull failures. Pure."""
