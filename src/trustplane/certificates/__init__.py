"""From what people paste to certificates: parse, normalise, fingerprint."""
