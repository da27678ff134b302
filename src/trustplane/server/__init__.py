"""The HTTPS server of the admission webhook."""
