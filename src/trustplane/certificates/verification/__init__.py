"""Verification of a server's certificate chain as nodes do it: by the rules of Go's crypto/x509."""

from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.der import MalformedError
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.verdict import Cause, Role, Verdict
from trustplane.certificates.verification.verify import verify

__all__ = ["Cause", "GoCertificate", "MalformedError", "Pool", "Role", "Verdict", "verify"]
