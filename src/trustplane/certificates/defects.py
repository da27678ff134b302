"""Findings about how an entry is written."""

import re
from collections.abc import Sequence

from trustplane.certificates.finding import Finding, error, warning

# Wider than the schema's limit, for lists stored under an older schema; larger than any Kubernetes object.
MAX_LENGTH = 1_500_000

_LABEL = re.compile(rb"[A-Z0-9 ]{1,40}")
_MAX_LABELS = 5
_ENCODE = "Write the output of `base64 -w0 ca.pem` into `data`"
_FIX = "Nothing to do, or run `trustplane check --fix`"

PEM_NOT_ENCODED = error("not-base64", "data is plain PEM", "The field takes base64 of PEM", _ENCODE)
NOT_BASE64 = error(
    "not-base64",
    "data is not base64",
    "It has characters other than A-Z a-z 0-9 + / =, or is cut off: "
    "without white space, its length must be a multiple of 4",
    _ENCODE,
)
ONCE_IN_SECRET = error(
    "not-base64",
    "The Secret's value is base64-encoded only once",
    "This Secret takes PEM encoded twice: the API server decodes it once, the nodes once more",
    "Run `kubectl create secret generic NAME --from-literal=KEY=$(base64 -w0 ca.pem)`, or `trustplane check --fix`",
)
PEM_IN_STRING_DATA = error(
    "not-base64",
    "The Secret's value in stringData is plain PEM",
    "This Secret takes PEM encoded twice: the API server encodes stringData once, so that you must encode it once",
    "Write the output of `base64 -w0 ca.pem` into stringData",
)
EMPTY = error("no-certificate", "data is empty", "The field takes base64 of PEM", _ENCODE)
PLACEHOLDER = error(
    "placeholder",
    "data is a placeholder, or was shortened",
    "It is text from documentation or of a template, not base64 of a certificate",
    _ENCODE,
)
TEMPLATE = error(
    "placeholder",
    "data is a placeholder of a template",
    "No program has replaced it",
    "Render it first, with the program that it is for: `helm template . | trustplane check -`",
)
TYPOGRAPHIC_DASHES = error(
    "typographic-dashes",
    "The BEGIN or END line has typographic dashes instead of five hyphens",
    "A word processor, a wiki or a chat replaced them; nodes would silently ignore the file",
    "Copy the certificate from its file",
)
LITERAL_NEWLINES = error(
    "literal-newlines",
    r"The PEM has \n in two characters instead of line ends",
    "It was copied from JSON or from a quoted text; nodes would silently ignore the file",
    "Restore the line ends: `printf '%b' \"$PEM\" | base64 -w0`",
)
PKCS7 = error(
    "pkcs7",
    "data is PKCS#7 (.p7b), a container of certificates",
    "Nodes read PEM certificates only and would silently ignore the file",
    "Convert it: `openssl pkcs7 -inform der -in ca.p7b -print_certs | base64 -w0`",
)
PKCS7_FILE = warning(
    "pkcs7",
    "The file is PKCS#7",
    "A list takes base64 of PEM",
    "Use the entry that `trustplane check --fix` prints",
)
PKCS12 = error(
    "private-key",
    "data is PKCS#12 (.p12, .pfx), which holds a private key",
    "Everyone who can read this object or a node can read the container; its password rarely protects it",
    "List the CA alone: `openssl pkcs12 -in FILE -cacerts -nokeys`. If others had the file, replace its key",
)
_EXPORT = (
    "`keytool -exportcert -rfc -keystore FILE -alias NAME | base64 -w0`; "
    "`keytool -list -keystore FILE` names the aliases"
)
KEYSTORE = error(
    "keystore",
    "data is a Java keystore (JKS, JCEKS)",
    "Nodes read PEM certificates only and would silently ignore the file",
    f"Export the CA: {_EXPORT}",
)
KEYSTORE_WITH_KEY = error(
    "private-key",
    "data is a Java keystore (JKS, JCEKS), which holds a private key",
    "Everyone who can read this object or a node can read the keystore; its password rarely protects it",
    f"List the CA alone: {_EXPORT}. If others had the file, replace its key",
)
DOUBLE_BASE64 = error(
    "double-base64",
    "data is base64-encoded twice",
    "The field takes PEM encoded once; only Secret <cluster>-user-trusted-ca-secret takes it encoded twice",
    _ENCODE,
)
UTF_16 = error(
    "utf-16",
    "data is PEM in UTF-16, as Windows editors save it",
    "Nodes read PEM in ASCII only and would silently ignore the file",
    "Save the file as ANSI or UTF-8, and " + _ENCODE[0].lower() + _ENCODE[1:],
)
DER = error(
    "der",
    "data is a base64-encoded DER certificate",
    "Nodes read PEM only and would silently ignore the file",
    "Convert it: `openssl x509 -inform der -in ca.der | base64 -w0`",
)
DER_FILE = warning(
    "der",
    "The file is DER",
    "A list takes base64 of PEM",
    "Use the entry that `trustplane check --fix` prints",
)
PRIVATE_KEY = error(
    "private-key",
    "data holds a private key",
    "Everyone who can read this object or a node can read the key: it is no longer secret",
    "Remove it now, replace the key and its certificate, and list only the CA's certificate",
)
NO_CERTIFICATE = error(
    "no-certificate",
    "data holds no certificate",
    "Decoded, it has no -----BEGIN CERTIFICATE----- block",
    _ENCODE,
)
WRAPPED = warning(
    "wrapped-base64",
    "data contains line breaks or spaces",
    "Trustplane removes them; other tools that read this list may stop at the first one",
    "Write the output of `base64 -w0 ca.pem` into `data`, or run `trustplane check --fix`",
)
WINDOWS_LINES = warning(
    "crlf",
    "The PEM has Windows line endings (CRLF)",
    "It is written to the nodes with Unix line endings",
    _FIX,
)
TEXT_AROUND = warning(
    "text-around",
    "The entry has text outside the PEM blocks",
    "Comments and bag attributes are not written to the nodes",
    _FIX,
)
REPEATED = warning(
    "duplicate-certificate",
    "The entry holds the same certificate twice",
    "It is written to the nodes once",
    _FIX,
)


def without_data(fields: Sequence[str]) -> Finding:
    """Return the finding for an entry without field `data`, naming the fields it has instead."""
    names = ", ".join(fields[:_MAX_LABELS]) or "none"
    what = f"data is missing; fields there: {names}"
    return error("no-certificate", what, "Names of fields are case-sensitive", "Write the field as `data`")


def too_large(length: int) -> Finding:
    """Return the finding for `data` longer than `length` characters."""
    return error(
        "too-large",
        f"data is longer than {length} characters",
        "It would not fit into one Kubernetes object",
        "Keep only the CAs that sign your registries' certificates, or split them into several entries",
    )


def without_certificate(labels: Sequence[bytes]) -> Finding:
    """Return the finding for PEM without a certificate, naming the blocks it has instead."""
    names = sorted({label.decode() for label in labels if _LABEL.fullmatch(label)})
    if not names:
        return NO_CERTIFICATE
    what = f"data holds no certificate, only: {', '.join(names[:_MAX_LABELS])}"
    return error("no-certificate", what, NO_CERTIFICATE.why, _ENCODE)


def unparsable(number: int, count: int, *, cut: bool) -> Finding:
    """Return the finding for unreadable certificate `number` of `count`; `cut`: its BEGIN or END line is damaged."""
    return error(
        "unparsable-certificate",
        f"Certificate {number} of {count} in data cannot be read",
        "Its BEGIN line is damaged, or its END line is missing"
        if cut
        else "Its content is damaged, cut off, or not an X.509 certificate",
        "Inspect the file with `openssl x509 -in ca.pem -noout -subject` and copy it again",
    )


def several(count: int) -> Finding:
    """Return the finding for an entry that holds `count` certificates."""
    return warning(
        "several-certificates",
        f"The entry holds {count} certificates",
        "They are kept in order, in one file; tools that read only the first certificate of a file miss the others",
        "Give each CA its own entry, and omit certificates that the registry sends",
    )


def other_blocks(labels: Sequence[bytes]) -> Finding:
    """Return the finding for PEM blocks beside the certificates."""
    names = [label.decode() if _LABEL.fullmatch(label) else "(unreadable label)" for label in labels[:_MAX_LABELS]]
    return warning(
        "other-pem-blocks",
        f"The entry also holds: {', '.join(names)}",
        "Only certificates are written to the nodes",
        "Remove them from the entry",
    )
