"""What Go's crypto/x509 says when it does not accept a chain (verify.go, x509.go, parser.go; Go 1.10 to 1.26)."""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

# What the bare words cannot tell apart, most likely first. Go leaves out files of the trust store that it cannot read
# without a word, and containers/image those of certs.d as well.
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

# The first error that Go met with a candidate of the issuer's name.
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
_CA = "Go names the candidate for the issuer that it refused, and why"
_CUT = "the issuer's candidate was refused; the reason is not in the text"
_EVERY_HINT = tuple(dict.fromkeys(code for _, code in _HINTS))


def _hints() -> tuple[Phrase, ...]:
    return (
        *(Phrase(f"{_HINT}{words}", (code,), _CA, Confidence.MEDIUM) for words, code in _HINTS),
        Phrase(f"{UNKNOWN_AUTHORITY} (", (*_EVERY_HINT, *NOT_TRUSTED), _CUT),
        Phrase(UNKNOWN_AUTHORITY, NOT_TRUSTED, "the same words stand for each of these"),
    )


def _names() -> tuple[Phrase, ...]:
    no_name = (Code.NO_SUBJECT_ALT_NAME, Code.NAME_MISMATCH)
    old = "Go before 1.15 found neither name"
    return (
        Phrase("x509: certificate relies on legacy Common Name field", no_name[:1], "Go reads no Common Name"),
        Phrase("x509: cannot validate certificate for", no_name[:1], "an address counts only as an IP SAN"),
        Phrase("x509: certificate is valid for", no_name[1:], "Go lists the names that the certificate has"),
        Phrase("x509: certificate is not valid for any names", no_name, "no DNS name is in the certificate"),
        Phrase("x509: Common Name is not a valid hostname", no_name[:1], old),
        Phrase("x509: certificate is not valid for requested name", no_name[::-1], old),
    )


def _times() -> tuple[Phrase, ...]:
    words = "x509: certificate has expired or is not yet valid"
    expired, not_yet = Code.CERTIFICATE_EXPIRED, Code.CERTIFICATE_NOT_YET_VALID
    times = "Go compares the node's clock with the server's certificate"
    return (
        Phrase(f"{words}: current time <word> is after", (expired,), times),
        Phrase(f"{words}: current time <word> is before", (not_yet,), times),
        Phrase(words, (expired, not_yet), "the times are not in the text"),
    )


def _rules() -> tuple[Phrase, ...]:
    rule = "Go names the rule that the chain breaks"
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
        Phrase(no_chain, (Code.WRONG_KEY_USAGE, Code.WEAK_CERTIFICATE), "Go does not say which rule was broken"),
        Phrase("x509: issuer name does not match subject", (Code.WEAK_CERTIFICATE,), rule, Confidence.MEDIUM),
        Phrase("x509: signature check attempts limit", (Code.WEAK_CERTIFICATE,), rule, Confidence.MEDIUM),
        Phrase("x509: unhandled critical extension", (Code.WEAK_CERTIFICATE,), rule),
        Phrase("x509: cannot verify signature: ", (Code.WEAK_CERTIFICATE,), rule),
        Phrase("x509: ECDSA verification failure", (Code.CA_REKEYED,), rule, Confidence.MEDIUM),
        Phrase("x509: Ed25519 verification failure", (Code.CA_REKEYED,), rule, Confidence.MEDIUM),
        Phrase("crypto/rsa: verification error", (Code.CA_REKEYED,), rule, Confidence.MEDIUM),
    )


# Go cannot read what the server sends.
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
    read = "Go cannot read the certificate that the server sends"
    darwin = "x509: “<name>” certificate is "
    return (
        Phrase("x509: failed to load system roots", (Code.CA_FILE_UNREADABLE,), system),
        Phrase(f"{darwin}not trusted", NOT_TRUSTED, "the words of macOS stand for each of these"),
        Phrase(f"{darwin}expired", (Code.CERTIFICATE_EXPIRED,), "the words of macOS"),
        Phrase(f"{darwin}not standards compliant", (Code.WEAK_CERTIFICATE,), "the words of macOS", Confidence.MEDIUM),
        *(Phrase(words, (Code.WEAK_CERTIFICATE,), read, Confidence.MEDIUM) for words in _UNREADABLE),
    )


CERTIFICATES: Final = Vocabulary(Kind.CERTIFICATE, (*_hints(), *_names(), *_times(), *_rules(), *_others()))
