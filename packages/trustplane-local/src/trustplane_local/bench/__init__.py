"""How long a change of trust takes, in place against replaced, measured on real clusters."""
