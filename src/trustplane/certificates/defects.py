"""What can be wrong, or odd, about how an entry of a list is written."""

import re
from collections.abc import Sequence

from trustplane.certificates.finding import Finding, error, warning

# Wider than the schema's limit, for lists that came in by an older one; more than an object of the API server holds.
MAX_LENGTH = 1_500_000

_LABEL = re.compile(rb"[A-Z0-9 ]{1,40}")
_MAX_LABELS = 5
_ENCODE = "Write the output of `base64 -w0 ca.pem` into `data`"
_FIX = "Nothing, or run `trustplane check --fix`"

PEM_NOT_ENCODED = error("not-base64", "data is PEM itself", "The field takes base64 of PEM", _ENCODE)
NOT_BASE64 = error(
    "not-base64",
    "data is not base64",
    "It has other characters than A-Z a-z 0-9 + / =, or was cut: without white space its length is a multiple of 4",
    _ENCODE,
)
ONCE_IN_SECRET = error(
    "not-base64",
    "The Secret's value is base64 of PEM only once",
    "In this Secret PEM is encoded twice: the API server undoes one, the nodes the other",
    "Take `kubectl create secret generic NAME --from-literal=KEY=$(base64 -w0 ca.pem)`, or `trustplane check --fix`",
)
DOUBLE_BASE64 = error(
    "double-base64",
    "data is base64 twice",
    "Here PEM is encoded once; only the Secret <cluster>-user-trusted-ca-secret takes it twice",
    _ENCODE,
)
UTF_16 = error(
    "utf-16",
    "data is PEM in UTF-16, as editors of Windows save it",
    "Nodes read PEM in ASCII only and would ignore the file without a word",
    "Save the file as ANSI or UTF-8, and " + _ENCODE[0].lower() + _ENCODE[1:],
)
DER = error(
    "der",
    "data is base64 of a DER certificate",
    "Nodes read PEM only and would ignore the file without a word",
    "Convert it: `openssl x509 -inform der -in ca.der | base64 -w0`",
)
DER_FILE = warning(
    "der",
    "The file is DER",
    "A list takes base64 of PEM",
    "Take the entry that `trustplane check --fix` prints",
)
PRIVATE_KEY = error(
    "private-key",
    "data holds a private key",
    "Every reader of this object and of every node can see it now: the key is no longer secret",
    "Remove it at once, replace that key and its certificate, and list only the CA's certificate",
)
NO_CERTIFICATE = error(
    "no-certificate",
    "data holds no certificate",
    "Decoded, it has no block that begins with -----BEGIN CERTIFICATE-----",
    _ENCODE,
)
WRAPPED = warning(
    "wrapped-base64",
    "data has line breaks or blanks in it",
    "They are taken out here; other tools that read this list may stop at the first one",
    "Write the output of `base64 -w0 ca.pem` into `data`, or run `trustplane check --fix`",
)
WINDOWS_LINES = warning(
    "crlf",
    "The PEM has the line ends of Windows (CRLF)",
    "It is written to the nodes with plain line ends",
    _FIX,
)
TEXT_AROUND = warning(
    "text-around",
    "There is text outside of the certificates' blocks",
    "Comments and bag attributes are left out on the nodes",
    _FIX,
)
REPEATED = warning(
    "duplicate-certificate",
    "The entry holds a certificate twice",
    "It is written to the nodes once",
    _FIX,
)


def too_large(length: int) -> Finding:
    """Say that `data` is longer than that many characters."""
    return error(
        "too-large",
        f"data is longer than {length} characters",
        "It would not fit into one object of the API server",
        "Keep only the CAs that sign your registries' certificates, or give several entries",
    )


def without_certificate(labels: Sequence[bytes]) -> Finding:
    """Say which PEM blocks are there in place of a certificate."""
    names = sorted({label.decode() for label in labels if _LABEL.fullmatch(label)})
    if not names:
        return NO_CERTIFICATE
    what = f"data holds no certificate, only: {', '.join(names[:_MAX_LABELS])}"
    return error("no-certificate", what, NO_CERTIFICATE.why, _ENCODE)


def unparsable(number: int, count: int, *, cut: bool) -> Finding:
    """Say which certificate of how many cannot be read; `cut`: a line of its block is damaged or missing."""
    return error(
        "unparsable-certificate",
        f"Certificate {number} of {count} in data cannot be read",
        "Its begin line is damaged, or it has no end line"
        if cut
        else "Its content is damaged, cut, or not an X.509 certificate",
        "Look at the file with `openssl x509 -in ca.pem -noout -subject` and copy it again",
    )


def several(count: int) -> Finding:
    """Say that an entry holds several certificates."""
    return warning(
        "several-certificates",
        f"The entry holds {count} certificates",
        "They are kept, in their order, in one file; tools that read only the first one of a file miss the others",
        "Give each CA an entry of its own, and leave out certificates that the registry sends itself",
    )


def other_blocks(labels: Sequence[bytes]) -> Finding:
    """Say which PEM blocks are there besides certificates."""
    names = [label.decode() if _LABEL.fullmatch(label) else "(unreadable label)" for label in labels[:_MAX_LABELS]]
    return warning(
        "other-pem-blocks",
        f"The entry also holds: {', '.join(names)}",
        "Only certificates are brought to the nodes; the other blocks are left out",
        "Remove them from the entry",
    )
