"""TLS for a tenant's kubeconfig: refuse expensive certificates, keys and handshakes.

A key of an unusual kind or size can keep the TLS library busy for minutes; a server that may choose the key exchange, a
second per handshake.
"""

import asyncio
import contextlib
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from trustplane.kube import access as kubeconfig
from trustplane.kube.access import Access

_SECONDS: Final = 3.0  # limit for building a context, which normally takes milliseconds
_RSA_BITS: Final = 4096  # of the client key
_CA_RSA_BITS: Final = 8192
_CHAIN: Final = 8  # client certificates
_CAS: Final = 64
_CA: Final = "clusters[].cluster.certificate-authority-data"
_KEY: Final = "users[].user.client-key-data"
# Supported by Go's servers. With DHE, including that of TLS 1.3, the server chooses a modulus of up to 10,000 bits.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_CURVE: Final = "prime256v1"

_WORKERS: Final = ThreadPoolExecutor(2, "tls")


async def make_context(access: Access) -> ssl.SSLContext:
    """Build the TLS context in a worker thread.

    Raises:
        RefusedAccessError: a certificate or key is unusable.
        TimeoutError: building takes too long.
    """
    async with asyncio.timeout(_SECONDS):
        return await asyncio.get_running_loop().run_in_executor(_WORKERS, build_context, access)


def build_context(access: Access) -> ssl.SSLContext:
    """Build the TLS context for an API server's connections.

    Raises:
        RefusedAccessError: a certificate or key is unusable.
    """
    _check_certificates(access.ca, _CA, "it has no readable certificate", _CAS, _CA_RSA_BITS)
    try:
        context = ssl.create_default_context(cadata=access.ca)
    except (ssl.SSLError, ValueError):
        kubeconfig.refuse(_CA, "it has no readable certificate")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_ecdh_curve(_CURVE)
    if access.certificate:
        why = "certificate and key are unreadable, or do not match"
        _check_certificates(access.certificate, _KEY, why, _CHAIN, _RSA_BITS)
        _check_key(access.key, why)
        try:
            with _file(f"{access.certificate}\n{access.key}".encode()) as name:
                context.load_cert_chain(name, password=_refuse_password)
        except (ssl.SSLError, ValueError):
            kubeconfig.refuse(_KEY, why)
    return context


def _check_certificates(text: str, name: str, why: str, most: int, bits: int) -> None:
    """Refuse unparsable certificates, and keys with slow signatures."""
    if text.count("-----BEGIN ") > most:
        kubeconfig.refuse(name, f"it has more than {most} certificates")
    kubeconfig.check_unencrypted(text, name)
    try:
        keys = [certificate.public_key() for certificate in x509.load_pem_x509_certificates(text.encode())]
    except (ValueError, UnsupportedAlgorithm):
        kubeconfig.refuse(name, why)
    for key in keys:
        _check_kind(key, name, bits)


def _check_key(text: str, why: str) -> None:
    kubeconfig.check_unencrypted(text, _KEY)
    try:
        # The TLS library checks whether the parts match; a primality test here would take long.
        key = load_pem_private_key(text.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        kubeconfig.refuse(_KEY, why)
    _check_kind(key, _KEY, _RSA_BITS)


def _check_kind(key: object, name: str, bits: int) -> None:
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        if key.key_size > bits:
            kubeconfig.refuse(name, f"it has an RSA key of {key.key_size} bits; the maximum is {bits}")
    elif not isinstance(
        key,
        ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey,
    ):
        kubeconfig.refuse(name, "it has a key that is neither RSA, nor ECDSA, nor Ed25519")


def _refuse_password() -> NoReturn:
    """Stop before a key is derived from a password, which takes as long as the file demands."""
    raise ValueError("the key is encrypted")


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Yield the path of a file with `content`: the TLS library loads keys from files only. On Linux it is in memory."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("key")
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123  a descriptor
            file.write(content)
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.TemporaryDirectory(prefix="trustplane-") as folder:
            path = Path(folder) / "key"
            path.touch(mode=0o600)
            path.write_bytes(content)
            yield str(path)
