"""Limits of trust lists, shared by schemas, checks and messages."""

from typing import Final

# A KubeadmConfig has at most 200 files (Cluster API v1beta2); twenty are reserved for the ClusterClass.
MAX_ENTRIES: Final = 180
# Bootstrap data is one Secret of at most 1 MiB: the files, indented by cloud-init's YAML, and everything else.
MAX_PEM_BYTES: Final = 700_000
# Characters of one entry's data: 16 RSA-4096 or 50 ECDSA certificates. The API server estimates the cost of a CEL rule
# for MAX_ENTRIES entries of this length, and rejects a CRD above its budget.
MAX_DATA_LENGTH: Final = 45_000

# `<name>.pem` is a Secret key (at most 253 characters, no leading `..`), `tkg-<name>.pem` a file name (255 bytes).
MAX_NAME_LENGTH: Final = 243
NAME_PATTERN: Final = "^[.]?[A-Za-z0-9_-][A-Za-z0-9._-]*$"

# Characters of a file's inline content in Cluster API v1beta2; its path may have 512.
MAX_CONTENT: Final = 10_240
# A registry host, `host` or `host:port`, becomes part of the path /etc/containerd/certs.d/<host>/tkg-<name>.pem.
MAX_HOST_LENGTH: Final = 236
HOST_PATTERN: Final = r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$"

# Go's time.ParseDuration, without signs.
DURATION_PATTERN: Final = r"^(0|([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+)$"
