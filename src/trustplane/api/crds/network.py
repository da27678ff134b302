"""Schemas of proxy and trust, shared by the service's configuration and clusters."""

import base64

from trustplane.api.crds.schema import array, literal, obj, rule, string
from trustplane.api.limits import MAX_DATA_LENGTH, MAX_ENTRIES, MAX_NAME_LENGTH, NAME_PATTERN
from trustplane.api.meta import Json

_ENCODE = "Write the output of `base64 -w0 ca.pem` into it"
_KEY = "Every reader of this object or of a node would get it. List the CA's certificate, and keep the key in its place"
_PRIVATE_KEYS = (
    " PRIVATE KEY",
    " RSA PRIVATE KEY",
    " EC PRIVATE KEY",
    " ENCRYPTED PRIVATE KEY",
    " OPENSSH PRIVATE KEY",
)


def trust_schema(description: str) -> Json:
    """Return the schema of `trust`."""
    entry = obj(
        "A certificate of a CA or server trusted by nodes.",
        {"name": _name(), "data": _data()},
        required=("name", "data"),
        rules=_data_rules(),
    )
    # An atomic list: a manifest contains the whole list, and removing a CA from it removes the CA. In a map by name, an
    # entry would stay while any other field manager owns it.
    entries = array(
        "CAs trusted by every node in addition to those of its operating system. Applying a list replaces the old one.",
        entry,
        max_items=MAX_ENTRIES,
        rules=[
            rule(
                "self.all(entry, self.exists_one(other, other.name == entry.name))",
                "has two entries with one name. Both would be the same file on every node. "
                "Rename one of them, or put both certificates into one entry",
            )
        ],
    )
    return obj(description, {"additionalTrustedCAs": entries})


def _name() -> Json:
    return string(
        "Part of a file name on every node, /etc/ssl/certs/tkg-<name>.pem: letters, digits, '-', '_', '.'.",
        max_length=MAX_NAME_LENGTH,
        minLength=1,
        rules=[
            rule(
                f"self.matches({literal(NAME_PATTERN)})",
                "cannot be part of a file's name. Nodes store the entry in /etc/ssl/certs/tkg-<name>.pem. "
                "Use letters, digits, '-', '_' and '.', and do not begin with '..'",
            )
        ],
    )


def _data() -> Json:
    return string(
        "PEM, base64-encoded once. Line breaks and white space are ignored; several certificates are allowed.",
        max_length=MAX_DATA_LENGTH,
        minLength=1,
    )


def _data_rules() -> list[Json]:
    """Return the rules for `data` as rules of its entry: an error of a rule on the field itself quotes its value."""
    keys = " || ".join(f"self.data.startsWith({literal(_encoded('-----BEGIN' + key))})" for key in _PRIVATE_KEYS)
    # Up to ten characters cost the same; these occur only in "PRIVATE KEY-----".
    inside = " || ".join(f"self.data.contains({literal(text)})" for text in _encodings("ATE KEY-"))
    return [
        # \w is short for A-Z a-z 0-9 _; each character of a pattern adds to the cost of its rule.
        _data_rule(
            r"!self.data.matches('[^\\w+/=\\s]')",
            f"is not base64. It has characters other than A-Z a-z 0-9 + / = and white space. {_ENCODE}",
        ),
        _data_rule("!self.data.contains('_')", f"is not base64. It has '_', which is base64url. {_ENCODE}"),
        _data_rule(
            f"!self.data.startsWith({literal(_encoded(_encoded('-----BEGIN')))})",
            f"is base64 twice. PEM must be encoded once here. {_ENCODE}",
        ),
        _data_rule(
            "!self.data.startsWith('MII')",
            "is base64 of DER, not of PEM. Nodes would silently ignore the file. "
            "Convert it: openssl x509 -inform der -in ca.der | base64 -w0",
        ),
        _data_rule(f"!({keys})", f"is a private key. {_KEY}"),
        _data_rule(f"!({inside})", f"holds a private key. {_KEY}"),
    ]


def _data_rule(expression: str, message: str) -> Json:
    return rule(expression, message) | {"fieldPath": ".data"}


def _encoded(text: str) -> str:
    """Return the longest base64 prefix that is independent of the bytes after the text."""
    return base64.b64encode(text.encode()[: len(text) // 3 * 3]).decode()


def _encodings(text: str) -> list[str]:
    """Return the base64 forms of text at each of the three possible offsets within a 3-byte group."""
    shifted = [base64.b64encode(bytes(before) + text.encode()).decode() for before in range(3)]
    # Groups shared with neighbouring bytes vary, and are cut off.
    return [form[4 * (before > 0) : (before + len(text)) // 3 * 4] for before, form in enumerate(shifted)]


def proxy_schema(description: str) -> Json:
    """Return the schema of `proxy`."""
    http = rule(
        "self.startsWith('http://')",
        "does not begin with http://. Nodes use plain HTTP to their proxy; an https:// proxy is not supported. "
        "Write http://[user:password@]host:port",
    )
    return obj(
        description,
        {
            "httpProxy": string(
                "Proxy for http:// requests: http://[user:password@]host:port.", max_length=2048, rules=[http]
            ),
            "httpsProxy": string(
                "Proxy for https:// requests: http://[user:password@]host:port.", max_length=2048, rules=[http]
            ),
            "noProxy": array(
                "Addresses, ranges and domains that bypass the proxy.",
                string("An address, a range such as 10.0.0.0/8, or a domain such as .local."),
                max_items=500,
            ),
        },
        rules=[
            rule(
                "has(self.httpProxy) && has(self.httpsProxy) && has(self.noProxy)",
                "lacks one of httpProxy, httpsProxy and noProxy. Nodes cannot be created with only some of them. "
                "Set all three, or omit proxy",
            )
        ],
    )
