"""Errors of Go's crypto/x509 for a rejected chain (verify.go, x509.go, parser.go; Go 1.10 to 1.26)."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

# Causes that the bare message cannot distinguish, most likely first. Go silently skips files of the trust store that it
# cannot read; containers/image does the same in certs.d.
NOT_TRUSTED: Final = (
    Code.ISSUER_NOT_TRUSTED,
    Code.SELF_SIGNED_SERVER,
    Code.MISSING_INTERMEDIATE,
    Code.TRUST_NOT_APPLIED,
    Code.RUNTIME_STALE,
    Code.CA_FILE_MALFORMED,
    Code.CA_FILE_UNREADABLE,
)
UNKNOWN_AUTHORITY: Final = "x509: certificate signed by unknown authority"
_HINT: Final = f'{UNKNOWN_AUTHORITY} (possibly because of "'

# Go reports the error of the first candidate with the issuer's name.
_HINTS: Final = (
    ("x509: invalid signature: parent certificate cannot sign", Code.CA_NOT_A_CA),
    ("x509: certificate is not authorized to sign", Code.CA_NOT_A_CA),
    ("x509: ECDSA verification failure", Code.CA_REKEYED),
    ("x509: Ed25519 verification failure", Code.CA_REKEYED),
    ("crypto/rsa: verification error", Code.CA_REKEYED),
    ("x509: signature algorithm specifies an", Code.CA_REKEYED),
    ("x509: cannot verify signature: ", Code.WEAK_CERTIFICATE),
    ("x509: certificate has expired or is not yet valid: current time <word> is after", Code.CERTIFICATE_EXPIRED),
    (
        "x509: certificate has expired or is not yet valid: current time <word> is before",
        Code.CERTIFICATE_NOT_YET_VALID,
    ),
    ("x509: certificate specifies an incompatible key usage", Code.WRONG_KEY_USAGE),
    ("x509: a root or intermediate certificate is not authorized for an extended key usage", Code.WRONG_KEY_USAGE),
    ("x509: a root or intermediate certificate is not authorized to sign for this name", Code.NAME_CONSTRAINT),
    ("x509: issuer has name constraints", Code.NAME_CONSTRAINT),
    ("x509: too many intermediates for path length", Code.PATH_LENGTH),
    ("x509: issuer name does not match", Code.WEAK_CERTIFICATE),
    ("x509: unhandled critical extension", Code.WEAK_CERTIFICATE),
)
_CA = "Go found and rejected a candidate for the issuer"
_CUT = "Go rejected a candidate for the issuer; the message is cut off before the reason"
_EVERY_HINT = tuple(dict.fromkeys(code for _, code in _HINTS))


def _hints() -> tuple[Phrase, ...]:
    return (
        *(Phrase(f"{_HINT}{text}", (code,), _CA, Confidence.MEDIUM) for text, code in _HINTS),
        Phrase(f"{UNKNOWN_AUTHORITY} (", (*_EVERY_HINT, *NOT_TRUSTED), _CUT),
        Phrase(UNKNOWN_AUTHORITY, NOT_TRUSTED, "Go reports all of these with the same message"),
    )


def _names() -> tuple[Phrase, ...]:
    no_name = (Code.NO_SUBJECT_ALT_NAME, Code.NAME_MISMATCH)
    old = "Go before 1.15 found the name in neither field"
    return (
        Phrase("x509: certificate relies on legacy Common Name field", no_name[:1], "Go ignores the Common Name"),
        Phrase("x509: cannot validate certificate for", no_name[:1], "Go accepts an address only as an IP SAN"),
        Phrase("x509: certificate is valid for", no_name[1:], "Go lists the names in the certificate"),
        Phrase("x509: certificate is not valid for any names", no_name, "the certificate contains no DNS name"),
        Phrase("x509: Common Name is not a valid hostname", no_name[:1], old),
        Phrase("x509: certificate is not valid for requested name", no_name[::-1], old),
    )


def _times() -> tuple[Phrase, ...]:
    prefix = "x509: certificate has expired or is not yet valid"
    expired, not_yet = Code.CERTIFICATE_EXPIRED, Code.CERTIFICATE_NOT_YET_VALID
    clock = "by the node's clock, the server's certificate is outside its validity period"
    return (
        Phrase(f"{prefix}: current time <word> is after", (expired,), clock),
        Phrase(f"{prefix}: current time <word> is before", (not_yet,), clock),
        Phrase(prefix, (expired, not_yet), "the message does not contain the times"),
    )


def _rules() -> tuple[Phrase, ...]:
    rule = "Go names the rule that the chain violates"
    ca = "x509: a root or intermediate certificate is not authorized"
    no_chain = "x509: no valid chains built"
    constrained = (Code.NAME_CONSTRAINT, Code.NO_SUBJECT_ALT_NAME)
    return (
        Phrase("x509: certificate is not authorized to sign other certificates", (Code.CA_NOT_A_CA,), rule),
        Phrase("x509: invalid signature: parent certificate cannot sign", (Code.CA_NOT_A_CA,), rule),
        Phrase(f"{ca} to sign for this name", (Code.NAME_CONSTRAINT,), rule),
        Phrase(f"{ca} for an extended key usage", (Code.WRONG_KEY_USAGE,), rule),
        Phrase("x509: issuer has name constraints but leaf doesn't have a SAN", constrained, rule),
        Phrase("x509: issuer has name constraints but leaf contains", (Code.NAME_CONSTRAINT,), rule),
        Phrase("x509: too many intermediates for path length constraint", (Code.PATH_LENGTH,), rule),
        Phrase("x509: certificate specifies an incompatible key usage", (Code.WRONG_KEY_USAGE,), rule),
        Phrase(f"{no_chain}: <number> candidate chains with incompatible key usage", (Code.WRONG_KEY_USAGE,), rule),
        Phrase(f"{no_chain}: <number> candidate chains with invalid policies", (Code.WEAK_CERTIFICATE,), rule),
        Phrase(no_chain, (Code.WRONG_KEY_USAGE, Code.WEAK_CERTIFICATE), "Go does not name the violated rule"),
        Phrase("x509: issuer name does not match subject", (Code.WEAK_CERTIFICATE,), rule, Confidence.MEDIUM),
        Phrase("x509: signature check attempts limit", (Code.WEAK_CERTIFICATE,), rule, Confidence.MEDIUM),
        Phrase("x509: unhandled critical extension", (Code.WEAK_CERTIFICATE,), rule),
        Phrase("x509: cannot verify signature: ", (Code.WEAK_CERTIFICATE,), rule),
        Phrase("x509: ECDSA verification failure", (Code.CA_REKEYED,), rule, Confidence.MEDIUM),
        Phrase("x509: Ed25519 verification failure", (Code.CA_REKEYED,), rule, Confidence.MEDIUM),
        Phrase("crypto/rsa: verification error", (Code.CA_REKEYED,), rule, Confidence.MEDIUM),
    )


# Go cannot parse the server's certificate.
_UNREADABLE: Final = (
    "tls: failed to parse certificate from server",
    "x509: malformed",
    "x509: invalid",
    "x509: unsupported",
    "x509: negative serial number",
    "x509: SAN ",
    "x509: cannot parse",
    "x509: failed to parse",
    "x509: certificate contains duplicate extension",
    "x509: unknown public key algorithm",
    "x509: inner and outer signature algorithm identifiers",
    "x509: trailing data",
    "x509: IP constraint contained invalid",
    "x509: authority",
    "x509: subject key identifier",
    "x509: policy constraints",
    "x509: RSA ",
    "x509: Ed25519 key encoded",
    "x509: wrong Ed25519 public key size",
    "asn1: structure error",
    "asn1: syntax error",
)


def _others() -> tuple[Phrase, ...]:
    system = "Go found no trust store on the node"
    unreadable = "Go cannot parse the server's certificate"
    darwin = "x509: “<name>” certificate is "
    return (
        Phrase("x509: failed to load system roots", (Code.CA_FILE_UNREADABLE,), system),
        Phrase(f"{darwin}not trusted", NOT_TRUSTED, "macOS reports all of these with the same message"),
        Phrase(f"{darwin}expired", (Code.CERTIFICATE_EXPIRED,), "macOS reports it"),
        Phrase(f"{darwin}not standards compliant", (Code.WEAK_CERTIFICATE,), "macOS reports it", Confidence.MEDIUM),
        *(Phrase(text, (Code.WEAK_CERTIFICATE,), unreadable, Confidence.MEDIUM) for text in _UNREADABLE),
    )


CERTIFICATES: Final = Vocabulary(Kind.CERTIFICATE, (*_hints(), *_names(), *_times(), *_rules(), *_others()))
