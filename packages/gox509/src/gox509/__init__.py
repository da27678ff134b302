"""Verification of a server's certificate chain as nodes do it: by the rules of Go's crypto/x509."""

from gox509.certificate import GoCertificate
from gox509.der import MalformedError
from gox509.pool import Pool
from gox509.verdict import Cause, Role, Verdict
from gox509.verify import verify

__all__ = ["Cause", "GoCertificate", "MalformedError", "Pool", "Role", "Verdict", "verify"]
