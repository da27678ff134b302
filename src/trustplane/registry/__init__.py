"""Registries as seen from a client: the certificates and answers of their hosts. Nothing here decides about trust."""
