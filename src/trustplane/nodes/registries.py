"""How the containerd of a node reaches a registry, by the report of `registries.sh`. Pure.

A kubelet's words are the same whoever answered, and whether his certificate was verified or not. They prove trust only
where containerd is known to ask the registry itself, over TLS that it verifies. Where that is not known, nothing is
assumed.

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

# Of a report, in characters and counts. A node's owner chooses what it has; reading it takes time from everybody.
MAX_REPORT: Final = 1 << 20
MAX_LINES: Final = 2000  # three for each registry, where containerd has a folder of folders of its own
MAX_DIRECTORIES: Final = 8  # of one registry; the script looks into so many
MAX_CONFIGURATION: Final = 32768  # what containerd 2.4 makes of its defaults has 8,000
MAX_FILES: Final = 131072  # all `hosts.toml`
_MAX_VALUE: Final = 8192  # a path, or a variable
_MAX_WORDS: Final = 4  # after the first of a line, which has three at most
_REMOVE: Final = "have the node ask the registry itself, over verified TLS; or do without a Registry for it"
_READ: Final = "see how the node's containerd is started and configured"


@dataclass(frozen=True)
class RegistryDirectory:
    """What containerd reads for one registry: a folder of certs.d.

    Attributes:
        path: The folder.
        toml: Its `hosts.toml`; None where there is none.
        is_large: Whether that is too large to be read, or no file.
    """

    path: str
    toml: str | None = None
    is_large: bool = False


@dataclass(frozen=True)
class RegistryReport:
    """What `registries.sh` says.

    Attributes:
        configuration: What the containerd that runs makes of its configuration; empty where that is not known.
        is_stale: Whether the configuration was changed after that containerd had started.
        endpoint: The kubelet's way to its runtime; empty: the default.
        environment: Of containerd, as far as it is about proxies.
        folders: By registry.
        asked: The registries that it is about.
        roots: The folders of folders that were looked into.
    """

    configuration: str = ""
    is_configuration_stale: bool = False
    endpoint: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, tuple[RegistryDirectory, ...]] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    roots: frozenset[str] = frozenset()

    @cached_property
    def settings(self) -> "_Settings | _Hindrance":
        """What the configuration says of registries, read once for all of them; or why that is not known."""
        try:
            return _settings(self)
        except _Hindrance as hindrance:
            return hindrance


class _Hindrance(Exception):  # noqa: N818  it is no error, and leaves this module never
    """Why a pull proves nothing, or why that is not known."""

    def __init__(self, verification: str, reason: str, next_step: str) -> None:
        self.verification, self.reason, self.next_step = verification, reason, next_step


def parse_registry_report(text: str) -> RegistryReport:
    """Read the report of `registries.sh`; what of it cannot be read is not known.

    Raises:
        ValueError: It is none, or not whole, or has more than a node has to say.
    """
    if len(text) > MAX_REPORT or text.count("\n") > MAX_LINES:
        raise ValueError("the report is too long")
    values: dict[str, str] = {}
    environment: dict[str, str] = {}
    folders: dict[str, list[RegistryDirectory]] = {}
    names: dict[str, set[str]] = {"asked": set(), "root": set()}
    for verb, *rest in (line.split(" ", _MAX_WORDS) for line in text.split("\n")):
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
        raise ValueError("the report is not whole")
    _refuse_many(folders)
    return RegistryReport(
        configuration=_decoded(values.get("configuration", ""), MAX_CONFIGURATION),
        is_configuration_stale=_seconds(values.get("changed", "")) > _seconds(values.get("started", "")),
        endpoint=_decoded(values.get("endpoint", "")).strip(" \n\"'"),
        environment=environment,
        directories={host: tuple(known) for host, known in folders.items()},
        hosts=frozenset(names["asked"]),
        roots=frozenset(map(_decoded, names["root"])),
    )


def _refuse_many(folders: Mapping[str, list[RegistryDirectory]]) -> None:
    for host, known in folders.items():
        if len(known) > MAX_DIRECTORIES:
            raise ValueError(f"registry {host} has more than {MAX_DIRECTORIES} folders")
    if sum(len(one.toml or "") for known in folders.values() for one in known) > MAX_FILES:
        raise ValueError(f"all hosts.toml together have more than {MAX_FILES >> 10} KiB")


def _decoded(value: str, limit: int = _MAX_VALUE) -> str:
    """Return a value of at most so many bytes, and what tells that it was cut there."""
    if len(value) > (limit + 3) // 3 * 4 + 4:
        raise ValueError(f"the report has a value of more than {limit} bytes")
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise ValueError("the report has a value that cannot be read") from error


def _seconds(text: str) -> int:
    return int(text[:_DIGITS]) if text.isascii() and text.isdecimal() else 0


def assess_access(report: RegistryReport, host: str) -> RegistryAccess:
    """Tell how a registry is reached.

    Args:
        report: Of the node.
        host: `host` or `host:port`, as in the names of images.
    """
    try:
        _verify(report, host)
    except _Hindrance as hindrance:
        return RegistryAccess(
            registry=host,
            verification=hindrance.verification,
            reason=clean(hindrance.reason, _MAX_REASON),
            next_step=hindrance.next_step,
        )
    proxy = clean(proxy_for(report.environment, "registry-1.docker.io" if host == "docker.io" else host), _MAX_REASON)
    return RegistryAccess(registry=host, verification=VERIFIED, proxy=proxy)


def _verify(report: RegistryReport, host: str) -> None:
    """Raise what stands in the way of a proof."""
    if is_localhost(host):
        raise _Hindrance(UNVERIFIABLE, "containerd does not verify the certificate of a registry of localhost", _REMOVE)
    settings = report.settings
    if isinstance(settings, _Hindrance):
        raise settings.with_traceback(None)
    if not settings.config_path:
        _verify_mirrors(settings, host)
        return
    if host not in report.hosts or not set(settings.config_path.split(":")) <= report.roots:
        reason = f"containerd's folders of registries, {settings.config_path}, were not read"
        raise _Hindrance(UNREADABLE, reason, _READ)
    # A list of roots is read by containerd in one way or another: each of its folders may be the one that counts.
    for folder in report.directories.get(host, ()):
        _verify_folder(folder, host)


class _Mirror(msgspec.Struct):
    endpoint: list[str] = msgspec.field(default_factory=list)


class _Tls(msgspec.Struct):
    insecure_skip_verify: bool = False


class _Config(msgspec.Struct):
    tls: _Tls = msgspec.field(default_factory=_Tls)


class _Settings(msgspec.Struct):
    """Table `registry` of the plugin that pulls for the kubelet."""

    config_path: str = ""
    mirrors: dict[str, _Mirror] = msgspec.field(default_factory=dict)
    configs: dict[str, _Config] = msgspec.field(default_factory=dict)


class _Plugin(msgspec.Struct):
    registry: _Settings = msgspec.field(default_factory=_Settings)


def _settings(report: RegistryReport) -> _Settings:
    if not report.configuration.strip():
        raise _Hindrance(UNREADABLE, "no containerd runs on the node, or its configuration cannot be read", _READ)
    if report.is_configuration_stale:
        step = "restart containerd on the node, so that it uses the configuration that is there"
        raise _Hindrance(UNREADABLE, "containerd's configuration was changed after it had started", step)
    endpoint = report.endpoint.removeprefix("unix://").replace("/var/run/", "/run/")
    if endpoint and endpoint not in report.configuration.replace("/var/run/", "/run/"):
        raise _Hindrance(
            UNREADABLE, f"the kubelet's runtime is not the node's containerd, but {report.endpoint}", _READ
        )
    try:
        plugins = msgspec.convert(
            hosts_toml.load_toml(report.configuration, MAX_CONFIGURATION).get("plugins", {}), dict[str, object]
        )
        name = next(name for name in _PLUGINS if name in plugins)
        settings = msgspec.convert(plugins[name], _Plugin).registry
    except (ValueError, msgspec.ValidationError) as error:
        raise _Hindrance(UNREADABLE, f"containerd's configuration cannot be read: {error}", _READ) from error
    except StopIteration as error:
        raise _Hindrance(UNREADABLE, "containerd's configuration has no settings for images", _READ) from error
    if name == _PLUGINS[0] and not settings.config_path and not settings.mirrors:
        settings.config_path = _DEFAULT_PATH
    return settings


def _verify_folder(folder: RegistryDirectory, host: str) -> None:
    path = f"{folder.path}/hosts.toml"
    if folder.is_large:
        raise _Hindrance(UNREADABLE, f"{path} is no file, or too large", "correct or remove it")
    if not folder.toml:
        return  # certificates alone, or nothing
    try:
        _verify_endpoints(hosts_toml.parse_hosts_toml(folder.toml), host, path)
    except ValueError as error:
        raise _Hindrance(UNREADABLE, f"{path} cannot be read: {error}", "correct or remove it") from error


def _verify_endpoints(content: hosts_toml.HostsToml, host: str, path: str) -> None:
    server = (
        content.server if content.server.url else RegistryEndpoint(f"https://{host}", content.server.skips_verification)
    )
    for endpoint in (*content.hosts, server):
        if endpoint.serves:
            _verify_endpoint(endpoint, host, path)


def _verify_endpoint(endpoint: RegistryEndpoint, host: str, where: str) -> None:
    try:
        scheme, address = endpoint.scheme, endpoint.address
    except ValueError as error:
        raise _Hindrance(UNREADABLE, f"{where} has something asked that is no URL: {endpoint.url}", _READ) from error
    if scheme != "https":
        raise _Hindrance(UNVERIFIABLE, f"{where} has it asked without TLS, at {endpoint.url}", _REMOVE)
    if _plain(address) != _plain(host):
        reason = f"{where} has a mirror asked, {endpoint.url}: whose answer it was cannot be told"
        raise _Hindrance(UNVERIFIABLE, reason, _REMOVE)
    if endpoint.skips_verification:
        raise _Hindrance(UNVERIFIABLE, f"{where} has its certificate not verified (skip_verify)", _REMOVE)


def _verify_mirrors(settings: _Settings, host: str) -> None:
    """Judge containerd's own tables of mirrors, which it uses where there is no `config_path`."""
    where = "containerd's configuration"
    mirror = settings.mirrors.get(host) or settings.mirrors.get("*") or _Mirror()
    for url in mirror.endpoint:
        # An address without a scheme is one of HTTPS here, whatever it begins with.
        _verify_endpoint(RegistryEndpoint(url if "://" in url else f"https://{url}"), host, where)
    if any(settings.configs.get(name, _Config()).tls.insecure_skip_verify for name in _names_of(host)):
        reason = f"{where} has its certificate not verified (insecure_skip_verify)"
        raise _Hindrance(UNVERIFIABLE, reason, _REMOVE)


def _names_of(host: str) -> Iterator[str]:
    plain = _plain(host)
    yield from {host, plain, f"{plain}:443", *(alias for alias, name in _ALIASES.items() if name == plain), "*"}


def _plain(host: str) -> str:
    plain = host.lower().removesuffix(":443")
    return _ALIASES.get(plain, plain)
