"""Connections from an operator's kubeconfig files or content, or from a pod's service account.

The official `kubernetes` library does the authentication. This module reads and merges the files, because the library
lets the last `current-context` win (kubectl: the first) and leaves keys in temporary files until the process ends.
"""

import base64
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from kubernetes.aio import client as aio
from kubernetes.aio import config as aio_config

from trustplane.api.meta import Json
from trustplane.errors import UserError
from trustplane.kube.transport import Transport, open_session

_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@asynccontextmanager
async def open_transport(kubeconfig: Path | Json | None) -> AsyncIterator[Transport]:
    """Open the connections described by a kubeconfig; close them at the end.

    Args:
        kubeconfig: a file; its content; or None for $KUBECONFIG, ~/.kube/config, or in-cluster.

    Raises:
        UserError: the file is missing or not a kubeconfig, or none exists outside a pod.
    """
    library = await _connect(kubeconfig)
    configuration = library.configuration
    # The library omits this option, which Python 3.11 needs to drop TLS connections left open by the server.
    connector = aiohttp.TCPConnector(
        limit=0, ssl=library.rest_client.ssl_context, enable_cleanup_closed=NEEDS_CLEANUP_CLOSED
    )
    try:
        async with open_session(connector, use_environment=True) as session:
            server = str(configuration.host).rstrip("/")
            yield Transport(server, session, _credentials(configuration), _options(configuration))
    finally:
        await library.close()
        await connector.close()


def _credentials(configuration: Any) -> Callable[[], Awaitable[Mapping[str, str]]]:
    async def headers() -> Mapping[str, str]:
        settings = await configuration.auth_settings()
        return {setting["key"]: setting["value"] for setting in settings.values()}

    return headers


def _options(configuration: Any) -> dict[str, Any]:
    options = {
        "server_hostname": configuration.tls_server_name,
        "proxy": configuration.proxy,
        "proxy_headers": configuration.proxy_headers,
    }
    return {name: value for name, value in options.items() if value}


async def _connect(kubeconfig: Path | Json | None) -> Any:
    configuration = aio.Configuration()
    try:
        content = _content(kubeconfig)
        if content is None:
            aio_config.load_incluster_config(configuration)
            return aio.ApiClient(configuration)
        return await _from_content(content, configuration)
    except (aio_config.ConfigException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        # Drop the chained traceback, which could show the kubeconfig's keys.
        raise UserError(
            f"The kubeconfig {_name(kubeconfig)} cannot be used",
            why=str(error),
            next_step="Pass a kubeconfig with --kubeconfig or $KUBECONFIG, and check that kubectl works with it",
        ) from None


def _name(kubeconfig: Path | Json | None) -> str:
    if isinstance(kubeconfig, dict):
        return "content"
    return str(kubeconfig or os.environ.get("KUBECONFIG", "~/.kube/config"))


def _content(kubeconfig: Path | Json | None) -> Json | None:
    if isinstance(kubeconfig, dict):
        return kubeconfig
    if kubeconfig:
        return merge_kubeconfigs([_read_file(kubeconfig)])
    if named := os.environ.get("KUBECONFIG"):
        paths = [path for path in map(Path, filter(None, named.split(os.pathsep))) if path.exists()]
        if not paths:
            raise FileNotFoundError(f"No such file: {named}")
        return merge_kubeconfigs(map(_read_file, paths))
    default = Path.home() / ".kube" / "config"
    return merge_kubeconfigs([_read_file(default)]) if default.exists() else None


def _read_file(path: Path) -> Json:
    content: Json = yaml.safe_load(path.expanduser().read_text()) or {}
    entries = [item.get("cluster") or {} for item in content.get("clusters") or []]
    entries += [item.get("user") or {} for item in content.get("users") or []]
    for entry in entries:
        for field in _FILES:
            if entry.get(field):
                entry[field] = str(path.expanduser().parent.absolute() / entry[field])
    return content


def merge_kubeconfigs(contents: Iterable[Json]) -> Json:
    """Merge kubeconfigs like kubectl: the first entry of a name, and the first current context, win."""
    merged: Json = {"clusters": [], "contexts": [], "users": [], "current-context": ""}
    for content in contents:
        merged["current-context"] = merged["current-context"] or content.get("current-context", "")
        for section in ("clusters", "contexts", "users"):
            known = {entry["name"] for entry in merged[section]}
            merged[section] += [entry for entry in content.get(section) or [] if entry["name"] not in known]
    return merged


async def _from_content(content: Json, configuration: Any) -> Any:
    # The TLS library reads certificates and keys from files only; the files are deleted right after loading.
    with tempfile.TemporaryDirectory(prefix="trustplane-") as folder:
        loader = await aio_config.load_kube_config_from_dict(
            _with_files(content, Path(folder)), client_configuration=configuration
        )
        transport = aio.ApiClient(configuration)
    if hasattr(loader, "exec_plugin_expiry"):
        configuration.refresh_api_key_hook = _renewal(loader)
    return transport


def _with_files(content: Json, folder: Path) -> Json:
    """Return a copy of a kubeconfig with its inline certificates and keys moved to files in `folder`."""
    copied = dict(content)
    for section, field in (("clusters", "cluster"), ("users", "user")):
        copied[section] = [
            {**item, field: _entry(item.get(field) or {}, folder, f"{section}-{index}")}
            for index, item in enumerate(content.get(section) or [])
        ]
    return copied


def _entry(entry: Json, folder: Path, prefix: str) -> Json:
    written = dict(entry)
    for field in _FILES:
        if data := written.pop(f"{field}-data", None):
            path = folder / f"{prefix}-{field}"
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(data))
            written[field] = str(path)
    return written


def _renewal(loader: Any) -> Any:
    async def renew(configuration: Any) -> None:
        await loader.load_from_exec_plugin()  # a no-op while the token is valid
        configuration.api_key["BearerToken"] = loader.token

    return renew
