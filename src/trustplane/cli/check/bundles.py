"""CA bundles in ConfigMaps and Secrets that other tools write: `ca.crt`, `tls.crt`, `ca-bundle.crt`."""

from collections.abc import Iterator

from trustplane.cli.check.clusters import ManifestSecret, SecretValue
from trustplane.cli.check.entries import ListedEntry, pem_value

_CA_KEYS = frozenset({"ca.crt", "ca-bundle.crt", "ca.pem", "cacert.pem", "ca-certificates.crt", "service-ca.crt"})
_SERVER_KEY = "tls.crt"


def has_bundle(source: ManifestSecret) -> bool:
    """Return whether an object holds a bundle."""
    return any(True for _ in _values(source))


def read_bundles(source: ManifestSecret) -> Iterator[ListedEntry]:
    """Yield the bundles of an object; a server's certificate only if no CA is beside it."""
    yield from (pem_value(source, value, value.key) for value in _values(source))


def _values(source: ManifestSecret) -> Iterator[SecretValue]:
    values = [value for value in source.values if value.key in _CA_KEYS]
    yield from values or (value for value in source.values if value.key == _SERVER_KEY)
