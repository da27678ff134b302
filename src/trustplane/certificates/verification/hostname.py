"""Host name verification as in Go's Certificate.VerifyHostname.

Common names do not count. An IP address matches only IP SANs. A wildcard stands for exactly the first label.
"""

import re
from collections.abc import Sequence

from trustplane.certificates.verification.addresses import address_text, read_address, unmapped
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.domains import lower_ascii

_LABEL = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*\Z")
_MAX_NAMES_SHOWN = 100
WITHOUT_ADDRESSES = "because it doesn't contain any IP SANs"


def hostname_error(certificate: GoCertificate, host: str) -> str:
    """Return Go's message if a certificate is not valid for `host`, or "".

    Args:
        certificate: The server's certificate.
        host: A DNS name, or an IP address with or without brackets.
    """
    candidate = host[1:-1] if len(host) > 2 and host[0] == "[" and host[-1] == "]" else host  # noqa: PLR2004 - brackets
    address = read_address(candidate)
    if address is None:
        return (
            ""
            if any(_matches(name, lower_ascii(host)) for name in certificate.dns_names)
            else _message(certificate, host)
        )
    if any(unmapped(octets) == address for octets in certificate.ip_addresses):
        return ""
    return _message(certificate, candidate)


def _matches(pattern: str, host: str) -> bool:
    if _is_hostname(host.removesuffix(".")) and _is_hostname(pattern, wildcard=True):
        return _labels_match(pattern, _split(host))
    return pattern not in {"", "."} and host not in {"", "."} and lower_ascii(pattern) == lower_ascii(host)


def _is_hostname(name: str, *, wildcard: bool = False) -> bool:
    if not name or name == "*":
        return False
    labels = name.split(".")
    if wildcard and labels[0] == "*":
        labels = labels[1:]
    return all(_LABEL.match(label) for label in labels)


def _split(host: str) -> list[str]:
    return lower_ascii(host.removesuffix(".")).split(".")


def _labels_match(pattern: str, host: Sequence[str]) -> bool:
    if not pattern:
        return False
    labels = lower_ascii(pattern).split(".")
    first = labels[0] in {"*", host[0]}
    return len(labels) == len(host) and first and labels[1:] == list(host[1:])


def _message(certificate: GoCertificate, host: str) -> str:
    if not certificate.has_san and _labels_match(certificate.subject.common_name, _split(host)):
        return "x509: certificate relies on legacy Common Name field, use SANs instead"
    if read_address(host) is None:
        names, kind = list(certificate.dns_names), "names"
    elif certificate.ip_addresses:
        names, kind = [address_text(octets) for octets in certificate.ip_addresses], "IP SANs"
    else:
        return f"x509: cannot validate certificate for {host} {WITHOUT_ADDRESSES}"
    if len(names) >= _MAX_NAMES_SHOWN:
        return f"x509: certificate is valid for {len(names)} {kind}, but none matched {host}"
    valid = ", ".join(names)
    if not valid:
        return f"x509: certificate is not valid for any names, but wanted to match {host}"
    return f"x509: certificate is valid for {valid}, not {host}"
