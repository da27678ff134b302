"""`trustplane diagnose` over SSH: the messages of a real containerd, and the real state of its node."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.node.conftest import Authority

from trustplane.certificates.parsing import parse_pem
from trustplane.diagnosis.decision import diagnose
from trustplane.diagnosis.evidence import disk
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.diagnosis.facts import Case, ListEntry, ObservedFrom, TrustList
from trustplane.diagnosis.layer import Role

ONE = "one.test:5001"
IMAGE = f"{ONE}/trustplane/probe:none"
UNTRUSTED = "x509: certificate signed by unknown authority"


async def ask(node: Any, shell: Any, words: str = "") -> tuple[list[str], disk.NodeInspection]:
    words = words or node.pull("one")
    seen = await disk.inspect_node(shell, ONE, [(Role.REGISTRY, ONE)], TimeLimits.within(30))
    [authority] = parse_pem(node.pems["one"].encode()).certificates
    force = TrustList("the set of the cluster", (ListEntry("one", (authority.der,)),))
    found = diagnose(
        Case(
            now=datetime.now(UTC),
            image=IMAGE,
            registry=ONE,
            messages=(words,),
            desired=force,
            in_force=force,
            disk=seen.disk,
            hosts=seen.hosts,
        )
    )
    return [str(cause.code) for cause in found.causes], seen


async def test_faults_of_a_node_have_different_causes(node: Any, shell: Any) -> None:
    path, pem = node.path("one"), node.pems["one"].rstrip()
    codes, seen = await ask(node, shell)
    assert codes == ["trust-not-applied"]
    assert [(host.observed_from, host.address, len(host.certificates)) for host in seen.hosts] == [
        (ObservedFrom.NODE, ONE, 1)
    ]
    assert node.path("boot") in seen.disk.roots
    assert not seen.disk.clock

    node.sh(f"cat >{path} <<'END'\n{pem}\nEND\n")
    assert UNTRUSTED in node.pull("one")
    assert (await ask(node, shell))[0] == ["runtime-stale"]

    node.until(f"test $(date +%s) -gt $(stat -c %Z {path})")
    node.sh("systemctl restart containerd")
    codes, seen = await ask(node, shell)
    assert codes == ["image-not-found"]
    assert seen.disk.is_stale is False

    node.sh(f"head -c 200 {path} >{path}.new; mv {path}.new {path}; systemctl restart containerd")
    codes, seen = await ask(node, shell)
    assert codes == ["ca-file-malformed"]
    assert seen.disk.malformed == (path,)

    node.sh(f"mkdir -p /etc/containerd/certs.d/{ONE}; cat >/etc/containerd/certs.d/{ONE}/ca.crt <<'END'\n{pem}\nEND\n")
    codes, seen = await ask(node, shell)
    assert codes == ["image-not-found"]
    assert f"/etc/containerd/certs.d/{ONE}/ca.crt" in seen.disk.hosts_toml


# Answers in place of every host.
OPENS_TLS = """
import asyncio, ssl

async def opened(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    await writer.start_tls(context)
    await reader.read(1)
    writer.close()

async def main():
    async with await asyncio.start_server(opened, "127.0.0.1", 3128) as server:
        await server.serve_forever()

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("/srv/proxy.pem")
asyncio.run(main())
"""
PROXY = "http://127.0.0.1:3128"
WITH_LOGIN = "http://somebody:s3cret@127.0.0.1:3128"
DROP_IN = "/etc/systemd/system/containerd.service.d/proxy.conf"


@pytest.fixture
def proxied(node: Any) -> Iterator[Any]:
    """The node's containerd uses a proxy that intercepts TLS, except for the excepted hosts."""
    authority = Authority("of the proxy")
    certificate, key = authority.issue("one.test")
    for path, text in (("/srv/proxy.pem", certificate + authority.certificate() + key), ("/srv/proxy.py", OPENS_TLS)):
        node.sh(f"cat >{path} <<'END'\n{text}END\n")
    node.sh("systemd-run --quiet --unit=proxy python3 /srv/proxy.py")

    def use(excepted: str) -> None:
        lines = f"[Service]\nEnvironment=HTTPS_PROXY={WITH_LOGIN} NO_PROXY={excepted}\n"
        node.sh(f"mkdir -p $(dirname {DROP_IN}); printf '{lines}' >{DROP_IN}")
        node.sh("systemctl daemon-reload; systemctl restart containerd")

    node.until("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128))'")
    yield use
    node.sh(f"rm {DROP_IN}; systemctl daemon-reload; systemctl stop proxy")


async def test_a_host_is_dialled_through_containerds_proxy(node: Any, shell: Any, proxied: Any) -> None:
    node.sh(f"cat >{node.path('one')} <<'END'\n{node.pems['one'].rstrip()}\nEND\n")
    proxied("two.test")
    words = node.sh(
        f"HTTPS_PROXY={WITH_LOGIN} ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d {IMAGE}", check=False
    )
    assert UNTRUSTED in words
    codes, seen = await ask(node, shell, words)
    assert codes == ["issuer-not-trusted"]
    assert seen.disk.proxies == {ONE: PROXY}
    [host] = seen.hosts
    assert (host.proxy, len(host.certificates)) == (PROXY, 2)
    assert "s3cret" not in repr(seen)

    proxied("two.test,one.test")
    codes, seen = await ask(node, shell)
    assert codes == ["image-not-found"]
    assert (seen.disk.proxies, seen.hosts[0].proxy) == ({}, "")


async def test_files_named_by_hosts_toml_count_in_any_directory(node: Any, shell: Any) -> None:
    pem, folder = node.pems["one"].rstrip(), f"/etc/containerd/certs.d/{ONE}"
    named = f'[host."https://{ONE}"]\n  # ca = "/srv/old.pem"\n  ca = [\n    "/srv/a ca.pem",\n    "beside.pem",\n  ]\n'
    node.sh(f"mkdir -p {folder}; cat >'/srv/a ca.pem' <<'END'\n{pem}\nEND\n")
    node.sh(f"cp '/srv/a ca.pem' /srv/old.pem; cp /srv/old.pem {folder}/beside.pem; cp /srv/old.pem {folder}/ca.crt")
    node.sh(f"cat >{folder}/hosts.toml <<'END'\n{named}END\n")
    codes, seen = await ask(node, shell)
    assert codes == ["image-not-found"]
    places = {path for path in seen.disk.roots if not path.startswith("/etc/ssl")}
    assert places == {"/srv/a ca.pem", f"{folder}/beside.pem"}
    assert seen.disk.hosts_toml[f"{folder}/hosts.toml"] == named
