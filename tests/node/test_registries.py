"""Messages of a real containerd whose configuration makes pulls prove nothing, and Trustplane's conclusion."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.node.conftest import PORTS

from trustplane.api.clustertrust import ACCEPTED, PROVEN, UNCLEAR, Inspection, RecordedProof
from trustplane.clusterapi.node_state import NodeFacts, NodeState, node_state
from trustplane.nodes import registries, registry_report
from trustplane.proof.result import record_verdict
from trustplane.proof.verdict import NotTrusted, ProofVerdict, Trusted, Unclear, parse_verdict

ONE = f"one.test:{PORTS['one']}"
TWO = f"two.test:{PORTS['two']}"
CERTS_D = "/etc/containerd/certs.d"
DROP_IN = "/etc/systemd/system/containerd.service.d/proxy.conf"
PLAIN = 5003
# Answers every request, and every CONNECT, with one status.
ANSWERS = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(int(sys.argv[2]))
        if sys.argv[2] == "401":
            realm = 'Bearer realm="http://127.0.0.1:5004/token",service="mirror"'
            self.send_header("WWW-Authenticate", realm)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_CONNECT = do_POST = do_HEAD

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def words_of(node: Any, registry: str) -> str:
    """Make the kubelet's side of containerd pull a missing image, and return its message."""
    image = f"{registry}/trustplane/probe:none"
    environment = "env $(tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value containerd)/environ | grep -i proxy)"
    words: str = node.sh(f"{environment} ctr -n k8s.io images pull --hosts-dir {CERTS_D} {image}", check=False)
    return f'failed to pull and unpack image "{image}": {words}'


async def stand(node: Any, shell: Any, registry: str = ONE) -> tuple[ProofVerdict, NodeState]:
    """Return the verdict of the message, and the node's state by verdict and configuration."""
    said = parse_verdict(words_of(node, registry), registry)
    now = datetime.now(UTC)
    reached = registries.assess_access(await registry_report.read_registry_report(shell, {registry}), registry)
    facts = NodeFacts(
        machine="m",
        node="n",
        created=now - timedelta(days=1),
        digest="d" * 64,
        proof=RecordedProof(digest="d" * 64, at=now, results=[record_verdict(registry, said)]),
        inspection=Inspection(digest="d" * 64, at=now, registries=[reached], registries_at=now),
    )
    return said, node_state(facts, "d" * 64, {registry})


def configure(node: Any, text: str, registry: str = ONE) -> None:
    node.sh(f"mkdir -p {CERTS_D}/{registry}; cat >{CERTS_D}/{registry}/hosts.toml <<'END'\n{text}\nEND\n")


def trust_one(node: Any) -> None:
    node.sh(f"cat >{node.path('one')} <<'END'\n{node.pems['one'].rstrip()}\nEND\nsystemctl restart containerd")


@contextlib.contextmanager
def answering(node: Any, port: int, status: int) -> Iterator[None]:
    node.sh(f"cat >/srv/answers.py <<'END'\n{ANSWERS}END\n")
    node.sh(f"systemd-run --quiet --unit=answers-{port} python3 /srv/answers.py {port} {status}")
    try:
        node.until(f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}))'")
        yield
    finally:
        node.sh(f"systemctl stop answers-{port}")


@contextlib.contextmanager
def proxied(node: Any, port: int) -> Iterator[None]:
    node.sh(f"mkdir -p $(dirname {DROP_IN})")
    node.sh(f"printf '[Service]\\nEnvironment=HTTPS_PROXY=http://user:s3cret@127.0.0.1:{port}\\n' >{DROP_IN}")
    node.sh("systemctl daemon-reload; systemctl restart containerd")
    try:
        yield
    finally:
        node.sh(f"rm {DROP_IN}; systemctl daemon-reload; systemctl restart containerd")


async def test_a_node_that_verifies_is_proven_and_one_without_the_ca_is_not(node: Any, shell: Any) -> None:
    said, found = await stand(node, shell)
    assert isinstance(said, NotTrusted)
    assert found.state != PROVEN
    trust_one(node)
    said, found = await stand(node, shell)
    assert (said, found.state) == (Trusted(), PROVEN)


async def test_without_verification_the_message_looks_like_a_proof_and_nothing_is_proven(node: Any, shell: Any) -> None:
    configure(node, f'[host."https://{ONE}"]\nskip_verify = true')
    said, found = await stand(node, shell)
    assert (said, found.state) == (Trusted(), UNCLEAR)
    assert "skip_verify" in found.message

    configure(node, f'server = "http://127.0.0.1:{PLAIN}"')
    with answering(node, PLAIN, 404):
        said, found = await stand(node, shell)
    assert (said, found.state) == (Trusted(), UNCLEAR)
    assert "disables TLS" in found.message


@pytest.mark.parametrize("status", [404, 403, 401, 429])
async def test_a_mirror_hides_an_untrusted_registry(node: Any, shell: Any, status: int) -> None:
    """The mirror answers first; the node would refuse the registry itself."""
    configure(node, f'server = "https://{ONE}"\n[host."http://127.0.0.1:{PLAIN}"]\ncapabilities = ["pull", "resolve"]')
    with answering(node, PLAIN, status), answering(node, PLAIN + 1, 403):
        said, found = await stand(node, shell)
    assert not isinstance(said, NotTrusted)
    assert found.state == UNCLEAR


async def test_the_answer_of_a_proxy_proves_nothing(node: Any, shell: Any) -> None:
    trust_one(node)
    for status in (403, 407):
        with answering(node, 3129, status), proxied(node, 3129):
            said, found = await stand(node, shell)
        assert isinstance(said, Unclear)
        assert found.state == UNCLEAR
        assert "NO_PROXY" in found.message
        assert "s3cret" not in repr((said, found))


async def test_containerd_does_not_verify_localhost(node: Any, shell: Any) -> None:
    host = f"localhost:{PORTS['one']}"
    said, found = await stand(node, shell, host)
    assert isinstance(said, Unclear)
    assert found.state == UNCLEAR


async def test_the_default_directory_counts_and_a_more_specific_one_hides_it(node: Any, shell: Any) -> None:
    trust_one(node)
    node.sh(f"mkdir -p {CERTS_D}/_default; echo 'skip_verify = true' >{CERTS_D}/_default/hosts.toml")
    assert (await stand(node, shell))[1].state == UNCLEAR
    node.sh(f"mkdir -p '{CERTS_D}/{ONE.replace(':', '_')}_'")
    assert (await stand(node, shell))[1].state == PROVEN


async def test_a_configuration_newer_than_the_running_containerd_is_unknown(node: Any, shell: Any) -> None:
    trust_one(node)
    node.until('test $(date +%s) -gt $(date -d "$(systemctl show -p ExecMainStartTimestamp --value containerd)" +%s)')
    node.sh("touch /etc/containerd/config.toml")
    said, found = await stand(node, shell)
    assert (said, found.state) == (Trusted(), ACCEPTED)
    assert "changed after containerd started" in found.message
    node.sh("mkdir -p /etc/containerd/conf.d; systemctl restart containerd")
    assert (await stand(node, shell))[1].state == PROVEN
    node.until('test $(date +%s) -gt $(date -d "$(systemctl show -p ExecMainStartTimestamp --value containerd)" +%s)')
    node.sh("printf 'version = 3\\n' >/etc/containerd/conf.d/more.toml")
    assert (await stand(node, shell))[1].state == ACCEPTED
    node.sh("rm -r /etc/containerd/conf.d; systemctl restart containerd")


async def test_a_hostile_file_proves_nothing(node: Any, shell: Any) -> None:
    trust_one(node)
    configure(node, "a = " + "[" * 2000)
    assert (await stand(node, shell))[1].state == ACCEPTED
    node.sh(f"head -c 100000 /dev/zero | tr '\\0' '#' >{CERTS_D}/{ONE}/hosts.toml")
    assert (await stand(node, shell))[1].state == ACCEPTED
    node.sh("systemctl stop containerd")
    report = await registry_report.read_registry_report(shell, {ONE, TWO})
    node.sh("systemctl start containerd")
    assert [registries.assess_access(report, host).verification for host in (ONE, TWO)] == ["Unreadable", "Unreadable"]
