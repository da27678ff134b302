"""Schemas of proxy and trust, which the service's configuration and a cluster share."""

import base64

from trustplane.api.crds.schema import array, literal, obj, rule, string
from trustplane.api.limits import MAX_DATA_LENGTH, MAX_ENTRIES, MAX_NAME_LENGTH, NAME_PATTERN
from trustplane.api.meta import Json

_ENCODE = "Write the output of `base64 -w0 ca.pem` into it"
_KEY = (
    "Everybody who may read this object, or a node, would have it. List the CA's certificate; keep the key where it was"
)
_PRIVATE_KEYS = (
    " PRIVATE KEY",
    " RSA PRIVATE KEY",
    " EC PRIVATE KEY",
    " ENCRYPTED PRIVATE KEY",
    " OPENSSH PRIVATE KEY",
)


def trust(description: str) -> Json:
    """Field `trust`."""
    entry = obj(
        "A CA, or a server's certificate, that nodes trust.",
        {"name": _name(), "data": _data()},
        required=("name", "data"),
        rules=_data_rules(),
    )
    # The list stays atomic: what a manifest says is the whole list, so that a CA that is taken out of it is gone. As
    # a map by name, an entry would stay for as long as any other manager of fields had once written it.
    entries = array(
        "CAs that every node trusts besides those of its operating system. Applying a list replaces the former one.",
        entry,
        max_items=MAX_ENTRIES,
        rules=[
            rule(
                "self.all(one, self.exists_one(other, other.name == one.name))",
                "has two entries with one name. Both would be the same file on every node. "
                "Rename one of them, or put both certificates into one entry",
            )
        ],
    )
    return obj(description, {"additionalTrustedCAs": entries})


def _name() -> Json:
    return string(
        "Becomes part of a file's name on every node, /etc/ssl/certs/tkg-<name>.pem: letters, digits, '-', '_', '.'.",
        max_length=MAX_NAME_LENGTH,
        minLength=1,
        rules=[
            rule(
                f"self.matches({literal(NAME_PATTERN)})",
                "cannot be part of a file's name. Nodes keep the entry in /etc/ssl/certs/tkg-<name>.pem. "
                "Use letters, digits, '-', '_' and '.', and do not begin with '..'",
            )
        ],
    )


def _data() -> Json:
    return string(
        "PEM, encoded as base64 once. Line breaks and white space do not matter; several certificates are allowed.",
        max_length=MAX_DATA_LENGTH,
        minLength=1,
    )


def _data_rules() -> list[Json]:
    """Rules on `data`, as rules of its entry: a refusal by a rule of the field itself would quote what is in it."""
    keys = " || ".join(f"self.data.startsWith({literal(_encoded('-----BEGIN' + key))})" for key in _PRIVATE_KEYS)
    # Up to ten characters cost the same; of "PRIVATE KEY-----" these are only in it.
    inside = " || ".join(f"self.data.contains({literal(one)})" for one in _anywhere("ATE KEY-"))
    return [
        # \w is A-Z a-z 0-9 _ in fewer characters, of which each counts in the cost of a rule.
        _data_rule(
            r"!self.data.matches('[^\\w+/=\\s]')",
            f"is not base64. It has other characters than A-Z a-z 0-9 + / = and white space. {_ENCODE}",
        ),
        _data_rule("!self.data.contains('_')", f"is not base64. It has '_', of base64's form for URLs. {_ENCODE}"),
        _data_rule(
            f"!self.data.startsWith({literal(_encoded(_encoded('-----BEGIN')))})",
            f"is base64 twice. Here PEM is encoded once. {_ENCODE}",
        ),
        _data_rule(
            "!self.data.startsWith('MII')",
            "is base64 of DER, not of PEM. Nodes would ignore the file without a word. "
            "Convert it: openssl x509 -inform der -in ca.der | base64 -w0",
        ),
        _data_rule(f"!({keys})", f"is a private key. {_KEY}"),
        _data_rule(f"!({inside})", f"holds a private key. {_KEY}"),
    ]


def _data_rule(expression: str, message: str) -> Json:
    return rule(expression, message) | {"fieldPath": ".data"}


def _encoded(text: str) -> str:
    """Base64 of the text's beginning, as much as does not depend on what follows."""
    return base64.b64encode(text.encode()[: len(text) // 3 * 3]).decode()


def _anywhere(text: str) -> list[str]:
    """Base64 of the text, as it looks where one, two or three octets of a group stand before it."""
    shifted = [base64.b64encode(bytes(before) + text.encode()).decode() for before in range(3)]
    # A group that the text shares with what is around it may look otherwise.
    return [one[4 * (before > 0) : (before + len(text)) // 3 * 4] for before, one in enumerate(shifted)]


def proxy(description: str) -> Json:
    """Field `proxy`."""
    http = rule(
        "self.startsWith('http://')",
        "does not begin with http://. Nodes speak plain HTTP to their proxy, an https:// proxy is not supported. "
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
                "Addresses, ranges and domains that are reached without the proxy.",
                string("An address, a range such as 10.0.0.0/8, or a domain such as .local."),
                max_items=500,
            ),
        },
        rules=[
            rule(
                "has(self.httpProxy) && has(self.httpsProxy) && has(self.noProxy)",
                "lacks one of httpProxy, httpsProxy and noProxy. With some of them nodes cannot be made. "
                "Set all three, or leave proxy out",
            )
        ],
    )
