"""How a node reaches a registry, according to its report. The script itself runs on a real node in tests/node."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import UNREADABLE, UNVERIFIABLE, VERIFIED, RegistryAccess
from trustplane.nodes.registries import RegistryDirectory, RegistryReport, assess_access, parse_registry_report
from trustplane.trust.node_files import render_hosts_toml

HOST = "registry.corp.test:5000"
ROOT = "/etc/containerd/certs.d"
SOCKET = "/run/containerd/containerd.sock"
V2 = "io.containerd.cri.v1.images"
V1 = "io.containerd.grpc.v1.cri"
BY_PATH = f'[grpc]\naddress = "{SOCKET}"\n[plugins."{V2}".registry]\nconfig_path = "{ROOT}"\n'


def report(toml_: str | None = None, *, configuration: str = BY_PATH, host: str = HOST) -> RegistryReport:
    folders = {} if toml_ is None else {host: (RegistryDirectory(f"{ROOT}/{host}", toml_),)}
    return RegistryReport(
        configuration=configuration, directories=folders, hosts=frozenset({host}), roots=frozenset({ROOT})
    )


def table_report(text: str, plugin: str = V1) -> RegistryReport:
    return report(configuration=f'version = 2\n[plugins."{plugin}".registry]\nconfig_path = ""\n{text}')


@pytest.mark.parametrize(
    "parsed",
    [
        report(),
        report(""),
        report("# nothing"),
        report(render_hosts_toml(HOST, ["corp"])),
        report(f'server = "https://{HOST}"'),
        report(f'server = "https://{HOST.upper()}/v2"'),
        report(f'[host."https://{HOST}/custom"]\noverride_path = true\nca = "ca.crt"\nclient = "client.pem"'),
        report('[host."https://elsewhere.test"]\ncapabilities = ["push"]\nskip_verify = true'),
        replace(report(), directories={HOST: (RegistryDirectory(f"{ROOT}/{HOST}"),)}),
        table_report(""),
        replace(table_report("", V2), roots=frozenset({ROOT, "/etc/docker/certs.d"})),
        table_report(
            '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."other.test"]\nendpoint = ["http://m.test"]'
        ),
        table_report(f'[plugins."{V1}".registry.mirrors."{HOST}"]\nendpoint = ["https://{HOST}"]'),
        table_report(f'[plugins."{V1}".registry.configs."other.test".tls]\ninsecure_skip_verify = true'),
        replace(report(), endpoint=f"unix://{SOCKET}"),
        replace(report(), endpoint="unix:///var/run/containerd/containerd.sock"),
    ],
)
def test_a_node_that_asks_the_registry_itself_over_tls_is_verified(parsed: RegistryReport) -> None:
    assert assess_access(parsed, HOST) == RegistryAccess(registry=HOST, verification=VERIFIED)


@pytest.mark.parametrize(
    ("parsed", "why"),
    [
        (report("skip_verify = true"), "skip_verify"),
        (report(f'server = "https://{HOST}"\nskip_verify = true'), "skip_verify"),
        (report(f'[host."https://{HOST}"]\nskip_verify = true'), "skip_verify"),
        (report(f'server = "http://{HOST}"'), "disables TLS"),
        (report(f'[host."http://{HOST}"]\nca = "ca.crt"'), "disables TLS"),
        (report('[host."https://mirror.test"]'), "mirror"),
        (report('[host."mirror.test"]\ncapabilities = ["pull"]'), "mirror"),
        (report('server = "https://mirror.test"'), "mirror"),
        (report('server = "https://registry.corp.test"'), "mirror"),  # another port is another server
        (report(f'[host."https://mirror.test/{HOST}"]\noverride_path = true'), "mirror"),
        (report('host = {"https://mirror.test" = {}}'), "mirror"),
        (table_report(f'[plugins."{V1}".registry.mirrors."{HOST}"]\nendpoint = ["https://mirror.test"]'), "mirror"),
        (table_report(f'[plugins."{V1}".registry.mirrors."*"]\nendpoint = ["https://mirror.test"]'), "mirror"),
        (table_report(f'[plugins."{V1}".registry.mirrors."{HOST}"]\nendpoint = ["http://{HOST}"]'), "disables TLS"),
        (table_report(f'[plugins."{V1}".registry.configs."{HOST}".tls]\ninsecure_skip_verify = true'), "insecure"),
        (table_report(f'[plugins."{V1}".registry.configs."*".tls]\ninsecure_skip_verify = true'), "insecure"),
    ],
)
def test_a_configuration_that_prevents_proofs_has_a_reason_and_a_next_step(parsed: RegistryReport, why: str) -> None:
    result = assess_access(parsed, HOST)
    assert result.verification == UNVERIFIABLE
    assert why in result.reason
    assert "contact the registry directly" in result.next_step


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_localhost_is_unverifiable_with_any_configuration(host: str) -> None:
    assert assess_access(report(f'server = "https://{host}"', host=host), host).verification == UNVERIFIABLE


@pytest.mark.parametrize(
    ("parsed", "why"),
    [
        (report(configuration=""), "containerd is not running"),
        (report(configuration="a = ["), "cannot be parsed"),
        (report(configuration=f'[plugins."{V2}".registry]\nconfig_path = 1'), "cannot be parsed"),
        (report(configuration="plugins = 1"), "cannot be parsed"),
        (report(configuration="version = 3"), "no settings for images"),
        (report(configuration=BY_PATH.replace(ROOT, "/somewhere/else")), "/somewhere/else"),
        (report(configuration=BY_PATH.replace(ROOT, f"{ROOT}:relative")), "relative"),
        (replace(report(), hosts=frozenset()), "were not read"),
        (replace(report(), is_configuration_stale=True), "changed after containerd started"),
        (replace(report(), endpoint="unix:///run/crio/crio.sock"), "crio"),
        (replace(report(), directories={HOST: (RegistryDirectory(f"{ROOT}/{HOST}", is_large=True),)}), "too large"),
        (report("a = " + "[" * 5000), "hosts.toml"),
        (report("Skip_Verify = true"), "lower case"),
        (report('server = "http:"'), "invalid URL"),
    ],
)
def test_an_unreadable_configuration_is_unknown(parsed: RegistryReport, why: str) -> None:
    result = assess_access(parsed, HOST)
    assert result.verification == UNREADABLE
    assert why in result.reason
    assert result.next_step


def test_each_root_of_a_list_may_be_the_effective_one() -> None:
    parsed = replace(
        report(configuration=BY_PATH.replace(ROOT, f"{ROOT}:/etc/docker/certs.d")),
        roots=frozenset({ROOT, "/etc/docker/certs.d"}),
        directories={
            HOST: (
                RegistryDirectory(f"{ROOT}/{HOST}"),
                RegistryDirectory(f"/etc/docker/certs.d/{HOST}", "skip_verify = true"),
            )
        },
    )
    assert assess_access(parsed, HOST).verification == UNVERIFIABLE


def test_without_any_configuration_containerd_2_reads_its_default_directories() -> None:
    folders = {HOST: (RegistryDirectory(f"/etc/docker/certs.d/{HOST}", "skip_verify = true"),)}
    parsed = replace(table_report("", V2), roots=frozenset({ROOT, "/etc/docker/certs.d"}), directories=folders)
    assert assess_access(parsed, HOST).verification == UNVERIFIABLE
    assert (
        assess_access(replace(parsed, configuration=parsed.configuration.replace(V2, V1)), HOST).verification
        == VERIFIED
    )
    assert assess_access(replace(parsed, roots=frozenset({ROOT})), HOST).verification == UNREADABLE


def test_docker_hub_has_a_server_with_another_name() -> None:
    text = 'server = "https://registry-1.docker.io"'
    assert assess_access(report(text, host="docker.io"), "docker.io").verification == VERIFIED
    assert assess_access(report(text), HOST).verification == UNVERIFIABLE


def test_a_proxy_is_named_and_its_exceptions_count() -> None:
    proxied = replace(report(), environment={"HTTPS_PROXY": "http://u:p@proxy.test:3128", "NO_PROXY": "other.test"})
    assert assess_access(proxied, HOST).proxy == "http://proxy.test:3128"
    direct = replace(proxied, environment={**proxied.environment, "NO_PROXY": ".corp.test"})
    assert assess_access(direct, HOST) == RegistryAccess(registry=HOST, verification=VERIFIED)


def test_a_reason_with_text_from_the_node_is_printable_and_short() -> None:
    hostile = "https://mirror.test/\\u001b[31m" + "x" * 1000
    result = assess_access(report(f'[host."{hostile}"]'), HOST)
    assert result.reason.isprintable()
    assert len(result.reason) <= 300


URLS = st.sampled_from(
    [f"https://{HOST}", HOST, f"http://{HOST}", "https://m.test", "m.test:5000", "http://m.test", ""]
)
TABLES = st.fixed_dictionaries(
    {},
    optional={
        "skip_verify": st.sampled_from(["true", "false"]),
        "capabilities": st.sampled_from(["[]", '["pull"]', '["pull", "resolve"]', '["resolve", "push"]']),
        "ca": st.sampled_from(['"ca.crt"', '["a", "b"]']),
        "override_path": st.sampled_from(["true", "false"]),
    },
)


@given(server=URLS, root=TABLES, hosts=st.dictionaries(URLS.filter(bool), TABLES, max_size=3))
def test_only_verified_tls_to_the_registry_is_verified(
    server: str, root: dict[str, str], hosts: dict[str, dict[str, str]]
) -> None:
    """Every host that may serve an image counts; the others do not."""
    lines = [f"{key} = {value}" for key, value in root.items()] + ([f'server = "{server}"'] if server else [])
    for url, table in hosts.items():
        lines += [f'[host."{url}"]', *(f"{key} = {value}" for key, value in table.items())]
    # Without a server, the registry itself is asked for everything.
    last = (server, root) if server else (HOST, {key: value for key, value in root.items() if key != "capabilities"})
    endpoints = [*hosts.items(), last]
    dangerous = any(
        (url.removeprefix("https://") != HOST or table.get("skip_verify") == "true")
        and ("pull" in table.get("capabilities", "") or table.get("capabilities", "[]") == "[]")
        for url, table in endpoints
    )
    verification = assess_access(report("\n".join(lines)), HOST).verification
    assert verification == (UNVERIFIABLE if dangerous else VERIFIED)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_report_is_parsed() -> None:
    lines = [
        "started 100",
        "changed 100",
        f"configuration {encoded(BY_PATH)}",
        f"variable HTTPS_PROXY {encoded('http://proxy.test:3128')}",
        f"root {encoded(ROOT)}",
        f"toml {HOST} {encoded(f'{ROOT}/{HOST}')} {encoded('skip_verify = true')}",
        f"folder other.test {encoded(f'{ROOT}/_default')}",
        f"large third.test {encoded(f'{ROOT}/third.test')}",
        f"toml fourth.test {encoded(f'{ROOT}/fourth.test')} ",
        *(f"asked {host}" for host in (HOST, "other.test", "third.test", "fourth.test")),
        "endpoint ",
        "end",
    ]
    parsed = parse_registry_report("\n".join(lines))
    assert parsed.configuration == BY_PATH
    assert not parsed.is_configuration_stale
    expected = {HOST: UNVERIFIABLE, "other.test": VERIFIED, "third.test": UNREADABLE, "fourth.test": VERIFIED}
    assert {host: assess_access(parsed, host).verification for host in expected} == expected
    assert assess_access(parsed, "other.test").proxy == "http://proxy.test:3128"
    assert parse_registry_report("\n".join(lines).replace("changed 100", "changed 101")).is_configuration_stale
    with pytest.raises(ValueError, match="incomplete"):
        parse_registry_report("\n".join(lines[:-1]))


def test_a_node_without_a_running_containerd_is_unknown() -> None:
    assert assess_access(parse_registry_report(f"asked {HOST}\nendpoint \nend\n"), HOST).verification == UNREADABLE


@given(st.lists(st.sampled_from(["toml", "folder", "variable", "root", "started", "end", "configuration", "a", "%"])))
def test_any_report_is_parsed_or_rejected(words: list[str]) -> None:
    for text in (" ".join(words), "\n".join([*words, "end"])):
        try:
            parsed = parse_registry_report(text)
        except ValueError:
            continue
        assert assess_access(parsed, HOST).verification == UNREADABLE
