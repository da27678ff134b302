"""A registry seen from outside: what its hosts serve. Nothing here decides about trust."""
