"""The Supervisor's certificates and the administrator's kubeconfig."""

import base64
import datetime as dt
from pathlib import Path

import yaml

from trustplane_local import files, pki
from trustplane_local.stack import Stack

LOOPBACK = ("127.0.0.1", "localhost")
LEAVES = (
    pki.Leaf("etcd", "etcd", hosts=LOOPBACK, client=True),  # also etcd's own client and peer certificate
    pki.Leaf("apiserver-etcd-client", "kube-apiserver", client=True),
    # first address of the apiserver's service range: in-cluster clients dial it
    pki.Leaf("apiserver", "kube-apiserver", hosts=(*LOOPBACK, "10.0.0.1", "kubernetes.default.svc")),
    pki.Leaf("kcm", "kube-controller-manager", hosts=LOOPBACK),
    pki.Leaf("tls", "trustplane-webhooks", hosts=LOOPBACK),
    pki.Leaf("admin", "admin", organization="system:masters", client=True),
)


def keep_credentials(stack: Stack, now: dt.datetime) -> None:
    """Make the certificates, the service account key and the kubeconfig where they are missing or end soon."""
    pki.keep_certificates(stack.pki, f"trustplane-{stack.id}", LEAVES, now)
    pki.keep_service_account_key(stack.pki)
    files.write_atomically(stack.kubeconfig, admin_kubeconfig(stack).encode(), mode=0o600)


def admin_kubeconfig(stack: Stack) -> str:
    """Return the administrator's kubeconfig: complete in itself, no other file is needed."""
    name = f"trustplane-{stack.id}"
    server = {
        "server": f"https://127.0.0.1:{stack.ports['apiserver']}",
        "certificate-authority-data": encode_file(stack.pki / "ca.crt"),
    }
    user = {
        "client-certificate-data": encode_file(stack.pki / "admin.crt"),
        "client-key-data": encode_file(stack.pki / "admin.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def encode_file(file: Path) -> str:
    """Return a file's content in base64, as kubeconfigs and caBundle fields hold it."""
    return base64.b64encode(file.read_bytes()).decode()
