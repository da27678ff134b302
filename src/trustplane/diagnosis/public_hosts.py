"""Well-known hosts of public registries: their certificates come from public CAs, which every node trusts."""

import re
from typing import Final

_HOSTS: Final = frozenset(
    {
        "docker.io", "registry-1.docker.io", "index.docker.io", "auth.docker.io", "hub.docker.com",
        "production.cloudflare.docker.com", "ghcr.io", "pkg-containers.githubusercontent.com",
        "quay.io", "registry.k8s.io", "k8s.gcr.io", "gcr.io", "mirror.gcr.io", "mcr.microsoft.com",
        "public.ecr.aws", "registry.gitlab.com", "gitlab.com", "nvcr.io", "registry.redhat.io",
        "registry.access.redhat.com", "registry.fedoraproject.org", "docker.elastic.co", "projects.registry.vmware.com",
        "projects.packages.broadcom.com", "registry.suse.com", "container-registry.oracle.com", "lscr.io", "icr.io",
    }
)  # fmt: skip
_DOMAINS: Final = (
    ".docker.com", ".docker.io", ".quay.io", ".gcr.io", ".pkg.dev", ".googleapis.com", ".amazonaws.com",
    ".amazonaws.com.cn", ".azurecr.io", ".azurecr.cn", ".data.mcr.microsoft.com", ".blob.core.windows.net",
    ".cloudfront.net", ".r2.cloudflarestorage.com", ".icr.io", ".ocir.io",
)  # fmt: skip
_ECR: Final = re.compile(r"\d{12}\.dkr[.-]ecr[a-z-]{0,5}\.[a-z0-9-]{1,40}\.(?:amazonaws\.com(?:\.cn)?|on\.aws)")


def is_public(host: str) -> bool:
    """Return whether a host has a certificate of a public CA, as all clients know."""
    return host in _HOSTS or host.endswith(_DOMAINS)


def is_ecr(registry: str) -> bool:
    """Return whether a registry is Amazon's private one."""
    return bool(_ECR.fullmatch(registry))


def is_acr(registry: str) -> bool:
    """Return whether a registry is Azure's."""
    return registry.endswith((".azurecr.io", ".azurecr.cn", ".azurecr.us"))


def is_google(registry: str) -> bool:
    """Return whether a registry is Google's."""
    return registry == "gcr.io" or registry.endswith((".gcr.io", "-docker.pkg.dev"))
