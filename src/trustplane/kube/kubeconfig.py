"""Where an API server is and who we are to it: kubeconfig files or content, or a pod's service account.

Official `kubernetes` does the authentication. Reading and merging the files is done here because the library lets the
last `current-context` win where kubectl lets the first, and leaves keys in temporary files until the process ends.
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
from trustplane.kube.transport import Transport, session_of

_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@asynccontextmanager
async def connection(kubeconfig: Path | Json | None) -> AsyncIterator[Transport]:
    """Open the connections that a kubeconfig describes, and close them at the end.

    Args:
        kubeconfig: a file; its content; or None for $KUBECONFIG, ~/.kube/config, or in-cluster.

    Raises:
        UserError: the file is missing or not a kubeconfig, or there is none and this is no pod.
    """
    library = await _connect(kubeconfig)
    configuration = library.configuration
    # The library leaves off what Python 3.11 needs to get rid of TLS connections that the server does not close.
    connector = aiohttp.TCPConnector(
        limit=0, ssl=library.rest_client.ssl_context, enable_cleanup_closed=NEEDS_CLEANUP_CLOSED
    )
    try:
        async with session_of(connector, use_environment=True) as session:
            server = str(configuration.host).rstrip("/")
            yield Transport(server, session, _credentials(configuration), _options(configuration))
    finally:
        await library.close()
        await connector.close()


def _credentials(configuration: Any) -> Callable[[], Awaitable[Mapping[str, str]]]:
    async def headers() -> Mapping[str, str]:
        settings = await configuration.auth_settings()
        return {one["key"]: one["value"] for one in settings.values()}

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
        # Only the error's text: a kubeconfig holds keys, and a chained traceback could show them.
        raise UserError(
            f"The kubeconfig {_name(kubeconfig)} cannot be used",
            why=str(error),
            next_step="Name a kubeconfig by --kubeconfig or $KUBECONFIG, and check that kubectl works with it",
        ) from None


def _name(kubeconfig: Path | Json | None) -> str:
    if isinstance(kubeconfig, dict):
        return "content"
    return str(kubeconfig or os.environ.get("KUBECONFIG", "~/.kube/config"))


def _content(kubeconfig: Path | Json | None) -> Json | None:
    if isinstance(kubeconfig, dict):
        return kubeconfig
    if kubeconfig:
        return merge([_read(kubeconfig)])
    if named := os.environ.get("KUBECONFIG"):
        found = [path for path in map(Path, filter(None, named.split(os.pathsep))) if path.exists()]
        if not found:
            raise FileNotFoundError(f"No such file: {named}")
        return merge(map(_read, found))
    default = Path.home() / ".kube" / "config"
    return merge([_read(default)]) if default.exists() else None


def _read(path: Path) -> Json:
    content: Json = yaml.safe_load(path.expanduser().read_text()) or {}
    entries = [one.get("cluster") or {} for one in content.get("clusters") or []]
    entries += [one.get("user") or {} for one in content.get("users") or []]
    for entry in entries:
        for field in _FILES:
            if entry.get(field):
                entry[field] = str(path.expanduser().parent.absolute() / entry[field])
    return content


def merge(contents: Iterable[Json]) -> Json:
    """Merge kubeconfigs as kubectl does: of two entries of one name, and of two current contexts, the first wins."""
    merged: Json = {"clusters": [], "contexts": [], "users": [], "current-context": ""}
    for content in contents:
        merged["current-context"] = merged["current-context"] or content.get("current-context", "")
        for section in ("clusters", "contexts", "users"):
            known = {one["name"] for one in merged[section]}
            merged[section] += [one for one in content.get(section) or [] if one["name"] not in known]
    return merged


async def _from_content(content: Json, configuration: Any) -> Any:
    # The TLS library reads certificates and keys from files only; they are gone as soon as it has read them.
    with tempfile.TemporaryDirectory(prefix="trustplane-") as folder:
        loader = await aio_config.load_kube_config_from_dict(
            _with_files(content, Path(folder)), client_configuration=configuration
        )
        transport = aio.ApiClient(configuration)
    if hasattr(loader, "exec_plugin_expiry"):
        configuration.refresh_api_key_hook = _renewal(loader)
    return transport


def _with_files(content: Json, folder: Path) -> Json:
    """Copy a kubeconfig, with the inline certificates and keys written to files in `folder`."""
    copied = dict(content)
    for section, field in (("clusters", "cluster"), ("users", "user")):
        copied[section] = [
            {**one, field: _entry(one.get(field) or {}, folder, f"{section}-{index}")}
            for index, one in enumerate(content.get(section) or [])
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
        await loader.load_from_exec_plugin()  # returns at once while the token is valid
        configuration.api_key["BearerToken"] = loader.token

    return renew
