"""`trustplane diagnose` over SSH: a real containerd's words, and what is really on its node."""

from datetime import UTC, datetime
from typing import Any

from trustplane.certificates.parsing import parse_pem
from trustplane.collectors import disk
from trustplane.diagnosis.evidence import Case, Listed, TrustList, Vantage
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.verdict import diagnose

ONE = "one.test:5001"
UNTRUSTED = "x509: certificate signed by unknown authority"


async def ask(node: Any, shell: Any) -> tuple[list[str], disk.OnNode]:
    words = node.pull("one")
    seen = await disk.look_at(shell, ONE, [(Role.REGISTRY, ONE)], seconds=30)
    [authority] = parse_pem(node.pems["one"].encode()).certificates
    force = TrustList("the set of the cluster", (Listed("one", (authority.der,)),))
    found = diagnose(
        Case(
            now=datetime.now(UTC),
            image=f"{ONE}/trustplane/probe:none",
            registry=ONE,
            messages=(words,),
            desired=force,
            in_force=force,
            disk=seen.disk,
            hosts=seen.hosts,
        )
    )
    return [str(one.code) for one in found.causes], seen


async def test_what_is_wrong_on_the_node_is_told_apart(node: Any, shell: Any) -> None:
    path, pem = node.path("one"), node.pems["one"].rstrip()
    codes, seen = await ask(node, shell)
    assert codes == ["trust-not-applied"]
    assert [(one.vantage, one.address, len(one.certificates)) for one in seen.hosts] == [(Vantage.NODE, ONE, 1)]
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
