"""What others have on nodes and in lists: files that nobody may touch, and CAs of no registry."""

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

# Content of every file that is not ours, and where every link of somebody else leads.
FOREIGN: Final = """
find /etc/ssl/certs /etc/containerd/certs.d -type f ! -name 'tkg-*' -exec sha256sum {} +
sha256sum /etc/ssl/certs/tkg-theirs.pem
find /etc/ssl/certs -type l ! -lname 'tkg-*' -printf '%p %l\\n'
"""
PLANT: Final = """
mkdir -p /etc/containerd/certs.d/theirs.test
echo 'server = "https://theirs.test"' >/etc/containerd/certs.d/theirs.test/hosts.toml
echo theirs >/etc/ssl/certs/theirs.pem
echo theirs >/etc/ssl/certs/tkg-theirs.pem
"""


def certificate(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Return a CA that signs itself, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=90))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
