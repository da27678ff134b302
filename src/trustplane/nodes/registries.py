"""Decide from the report of `registries.sh` how a node's containerd reaches a registry. Pure.

A kubelet reports a pull in the same way for every server, with a verified certificate or without. The pull proves trust
only if containerd certainly asks the registry itself, over TLS that it verifies. Otherwise nothing is assumed.

Source: containerd v2.4.2 and v1.7.29, internal/cri/server/images/image_pull.go, internal/cri/config,
core/remotes/docker/config/hosts.go, core/transfer/registry.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec

from trustplane.api.clustertrust import UNREADABLE, UNVERIFIABLE, VERIFIED, RegistryAccess
from trustplane.diagnosis.proxy import is_localhost, proxy_for
from trustplane.nodes import hosts_toml
from trustplane.nodes.hosts_toml import RegistryEndpoint
from trustplane.text import clean

_ALIASES: Final = {"registry-1.docker.io": "docker.io", "index.docker.io": "docker.io"}
_PLUGINS: Final = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")  # of containerd 2 and 1
_DEFAULT_PATH: Final = "/etc/containerd/certs.d:/etc/docker/certs.d"  # of containerd 2: plugins/cri/images/plugin.go
_MAX_REASON: Final = 300
_DIGITS: Final = 12  # of a time in seconds

# Limits of a report, in characters and counts. A tenant controls the report; parsing it delays all other clusters.
MAX_REPORT: Final = 1 << 20
MAX_LINES: Final = 2000  # three for each registry and root directory
MAX_DIRECTORIES: Final = 8  # of one registry, as in the script
MAX_CONFIGURATION: Final = 32768  # the default configuration of containerd 2.4 has 8,000
MAX_FILES: Final = 131072  # of all `hosts.toml` together
_MAX_VALUE: Final = 8192  # of a path or a variable
_MAX_SPLITS: Final = 4  # of one line, which has four words at most
_ASK_DIRECTLY: Final = "configure the node to contact the registry directly, over verified TLS, or delete its Registry"
_CHECK_CONTAINERD: Final = "check how the node's containerd is started and configured"


@dataclass(frozen=True)
class RegistryDirectory:
    """A directory of certs.d, which configures one registry.

    Attributes:
        path: The directory.
        toml: Content of its `hosts.toml`; None without one.
        is_large: Whether `hosts.toml` is too large, or not a regular file.
    """

    path: str
    toml: str | None = None
    is_large: bool = False


@dataclass(frozen=True)
class RegistryReport:
    """The parsed report of `registries.sh`.

    Attributes:
        configuration: The running containerd's effective configuration, as TOML; empty if unknown.
        is_stale: Whether the configuration changed after containerd started.
        endpoint: The kubelet's runtime endpoint; empty for the default.
        environment: The proxy variables of containerd.
        folders: Directories of certs.d, by registry.
        asked: The registries that the report covers.
        roots: The root directories that the script read, such as /etc/containerd/certs.d.
    """

    configuration: str = ""
    is_configuration_stale: bool = False
    endpoint: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, tuple[RegistryDirectory, ...]] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    roots: frozenset[str] = frozenset()

    @cached_property
    def settings(self) -> "_Settings | _Unverified":
        """The registry settings of the configuration, parsed once for all registries; or why they are unknown."""
        try:
            return _settings(self)
        except _Unverified as unverified:
            return unverified


class _Unverified(Exception):  # noqa: N818  a result, which never leaves this module
    """The reason why a pull from a registry proves nothing, or may prove nothing."""

    def __init__(self, verification: str, reason: str, next_step: str) -> None:
        self.verification, self.reason, self.next_step = verification, reason, next_step


def parse_registry_report(text: str) -> RegistryReport:
    """Parse the report of `registries.sh`.

    Raises:
        ValueError: The text is no report, is incomplete, or exceeds a limit.
    """
    if len(text) > MAX_REPORT or text.count("\n") > MAX_LINES:
        raise ValueError("the report is too long")
    values: dict[str, str] = {}
    environment: dict[str, str] = {}
    folders: dict[str, list[RegistryDirectory]] = {}
    names: dict[str, set[str]] = {"asked": set(), "root": set()}
    for verb, *rest in (line.split(" ", _MAX_SPLITS) for line in text.split("\n")):
        if verb in ("folder", "toml", "large") and len(rest) == (3 if verb == "toml" else 2):
            toml = _decoded(rest[2], hosts_toml.MAX_SIZE) if verb == "toml" else None
            folders.setdefault(rest[0], []).append(RegistryDirectory(_decoded(rest[1]), toml, verb == "large"))
        elif verb == "variable" and rest:
            environment[rest[0]] = _decoded(rest[-1])
        elif verb in names and rest:
            names[verb].add(rest[0])
        else:
            values[verb] = rest[0] if rest else ""
    if "end" not in values:
        raise ValueError("the report is incomplete")
    _refuse_many(folders)
    return RegistryReport(
        configuration=_decoded(values.get("configuration", ""), MAX_CONFIGURATION),
        is_configuration_stale=_seconds(values.get("changed", "")) > _seconds(values.get("started", "")),
        endpoint=_decoded(values.get("endpoint", "")).strip(" \n\"'"),
        environment=environment,
        directories={host: tuple(group) for host, group in folders.items()},
        hosts=frozenset(names["asked"]),
        roots=frozenset(map(_decoded, names["root"])),
    )


def _refuse_many(folders: Mapping[str, list[RegistryDirectory]]) -> None:
    for host, group in folders.items():
        if len(group) > MAX_DIRECTORIES:
            raise ValueError(f"registry {host} has more than {MAX_DIRECTORIES} directories")
    if sum(len(folder.toml or "") for group in folders.values() for folder in group) > MAX_FILES:
        raise ValueError(f"all hosts.toml together have more than {MAX_FILES >> 10} KiB")


def _decoded(value: str, limit: int = _MAX_VALUE) -> str:
    """Decode a value of up to `limit` bytes, plus the one that marks a value as cut off by the script."""
    if len(value) > (limit + 3) // 3 * 4 + 4:
        raise ValueError(f"the report has a value with more than {limit} bytes")
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise ValueError("the report has a value that is not UTF-8 text in base64") from error


def _seconds(text: str) -> int:
    return int(text[:_DIGITS]) if text.isascii() and text.isdecimal() else 0


def assess_access(report: RegistryReport, host: str) -> RegistryAccess:
    """Return how a node reaches a registry, and whether it verifies the registry's certificate.

    Args:
        report: The node's report.
        host: `host` or `host:port`, as in image references.
    """
    try:
        _verify(report, host)
    except _Unverified as unverified:
        return RegistryAccess(
            registry=host,
            verification=unverified.verification,
            reason=clean(unverified.reason, _MAX_REASON),
            next_step=unverified.next_step,
        )
    proxy = clean(proxy_for(report.environment, "registry-1.docker.io" if host == "docker.io" else host), _MAX_REASON)
    return RegistryAccess(registry=host, verification=VERIFIED, proxy=proxy)


def _verify(report: RegistryReport, host: str) -> None:
    """Raise the reason if a pull from the registry proves nothing."""
    if is_localhost(host):
        reason = "containerd does not verify the certificate of a registry on localhost"
        raise _Unverified(UNVERIFIABLE, reason, _ASK_DIRECTLY)
    settings = report.settings
    if isinstance(settings, _Unverified):
        raise settings.with_traceback(None)
    if not settings.config_path:
        _verify_mirrors(settings, host)
        return
    if host not in report.hosts or not set(settings.config_path.split(":")) <= report.roots:
        reason = f"the registry directories of containerd, {settings.config_path}, were not read"
        raise _Unverified(UNREADABLE, reason, _CHECK_CONTAINERD)
    # Releases of containerd interpret a list of roots differently: each directory may be the effective one.
    for folder in report.directories.get(host, ()):
        _verify_folder(folder, host)


class _Mirror(msgspec.Struct):
    endpoint: list[str] = msgspec.field(default_factory=list)


class _Tls(msgspec.Struct):
    insecure_skip_verify: bool = False


class _Config(msgspec.Struct):
    tls: _Tls = msgspec.field(default_factory=_Tls)


class _Settings(msgspec.Struct):
    """Table `registry` of the plugin that pulls images for the kubelet."""

    config_path: str = ""
    mirrors: dict[str, _Mirror] = msgspec.field(default_factory=dict)
    configs: dict[str, _Config] = msgspec.field(default_factory=dict)


class _Plugin(msgspec.Struct):
    registry: _Settings = msgspec.field(default_factory=_Settings)


def _settings(report: RegistryReport) -> _Settings:
    if not report.configuration.strip():
        reason = "containerd is not running on the node, or its configuration cannot be read"
        raise _Unverified(UNREADABLE, reason, _CHECK_CONTAINERD)
    if report.is_configuration_stale:
        step = "restart containerd on the node to load its current configuration"
        raise _Unverified(UNREADABLE, "containerd's configuration changed after containerd started", step)
    endpoint = report.endpoint.removeprefix("unix://").replace("/var/run/", "/run/")
    if endpoint and endpoint not in report.configuration.replace("/var/run/", "/run/"):
        reason = f"the kubelet does not use the node's containerd, but {report.endpoint}"
        raise _Unverified(UNREADABLE, reason, _CHECK_CONTAINERD)
    try:
        plugins = msgspec.convert(
            hosts_toml.load_toml(report.configuration, MAX_CONFIGURATION).get("plugins", {}), dict[str, object]
        )
        name = next(name for name in _PLUGINS if name in plugins)
        settings = msgspec.convert(plugins[name], _Plugin).registry
    except (ValueError, msgspec.ValidationError) as error:
        reason = f"containerd's configuration cannot be parsed: {error}"
        raise _Unverified(UNREADABLE, reason, _CHECK_CONTAINERD) from error
    except StopIteration as error:
        reason = "containerd's configuration has no settings for images"
        raise _Unverified(UNREADABLE, reason, _CHECK_CONTAINERD) from error
    if name == _PLUGINS[0] and not settings.config_path and not settings.mirrors:
        settings.config_path = _DEFAULT_PATH
    return settings


def _verify_folder(folder: RegistryDirectory, host: str) -> None:
    path = f"{folder.path}/hosts.toml"
    if folder.is_large:
        raise _Unverified(UNREADABLE, f"{path} is not a regular file, or is too large", "correct or remove it")
    if not folder.toml:
        return  # only certificates, or nothing
    try:
        _verify_endpoints(hosts_toml.parse_hosts_toml(folder.toml), host, path)
    except ValueError as error:
        raise _Unverified(UNREADABLE, f"{path} cannot be parsed: {error}", "correct or remove it") from error


def _verify_endpoints(content: hosts_toml.HostsToml, host: str, path: str) -> None:
    server = (
        content.server if content.server.url else RegistryEndpoint(f"https://{host}", content.server.skips_verification)
    )
    for endpoint in (*content.hosts, server):
        if endpoint.serves:
            _verify_endpoint(endpoint, host, path)


def _verify_endpoint(endpoint: RegistryEndpoint, host: str, source: str) -> None:
    try:
        scheme, address = endpoint.scheme, endpoint.address
    except ValueError as error:
        reason = f"{source} has an invalid URL: {endpoint.url}"
        raise _Unverified(UNREADABLE, reason, _CHECK_CONTAINERD) from error
    if scheme != "https":
        raise _Unverified(UNVERIFIABLE, f"{source} disables TLS for the registry: {endpoint.url}", _ASK_DIRECTLY)
    if _plain(address) != _plain(host):
        reason = f"{source} sets mirror {endpoint.url}; a pull does not show which server sent the image"
        raise _Unverified(UNVERIFIABLE, reason, _ASK_DIRECTLY)
    if endpoint.skips_verification:
        reason = f"{source} disables verification of the registry's certificate (skip_verify)"
        raise _Unverified(UNVERIFIABLE, reason, _ASK_DIRECTLY)


def _verify_mirrors(settings: _Settings, host: str) -> None:
    """Raise the reason if the tables of mirrors, which containerd uses without `config_path`, prevent a proof."""
    source = "containerd's configuration"
    mirror = settings.mirrors.get(host) or settings.mirrors.get("*") or _Mirror()
    for url in mirror.endpoint:
        # In these tables an address without a scheme always means HTTPS, even one that begins with "http".
        _verify_endpoint(RegistryEndpoint(url if "://" in url else f"https://{url}"), host, source)
    if any(settings.configs.get(name, _Config()).tls.insecure_skip_verify for name in _names_of(host)):
        reason = f"{source} disables verification of the registry's certificate (insecure_skip_verify)"
        raise _Unverified(UNVERIFIABLE, reason, _ASK_DIRECTLY)


def _names_of(host: str) -> Iterator[str]:
    plain = _plain(host)
    yield from {host, plain, f"{plain}:443", *(alias for alias, name in _ALIASES.items() if name == plain), "*"}


def _plain(host: str) -> str:
    plain = host.lower().removesuffix(":443")
    return _ALIASES.get(plain, plain)
