"""Trust in place on a real node; containerd's pulls show the effect."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.node.conftest import kubelet, set_of

from trustplane.clusterapi.node_state import NodeFacts
from trustplane.errors import NodeError, TransientError
from trustplane.fleet.inspection import _compare
from trustplane.nodes import plan, trust
from trustplane.trust.node_files import render_files as files_of

UNTRUSTED = "x509: certificate signed by unknown authority"
NOT_FOUND = "not found"
ONE = "one.test:5001"
FACTS = NodeFacts(machine="w-0", created=datetime(2026, 1, 1, tzinfo=UTC), digest="digest")

# Commands of trust.sh that change the node, in the position of a command; and the functions that pause the kubelet,
# wait during the pause, and resume it.
_CHANGES = re.compile(
    r"(?P<before>^\s*|\*\) |\|\| )(?P<command>(?:mv|rm|ln|mkdir|persist|systemctl restart|printf %s \"\$data\") "
    r"|(?:pause_kubelet|resume_kubelet|await_containerd)(?= |$))",
    re.MULTILINE,
)
_STEPS = "/run/steps"
_ANSWERS = "/run/answers"


def dying_at(script: str, step: int) -> str:
    """Return a script that is killed, with all its processes, before its n-th change."""
    count = f"{{ echo >>{_STEPS}; [ $(wc -l <{_STEPS}) -ne {step} ] || kill -9 0; }}; "
    return _CHANGES.sub(lambda found: f"{found['before']}{count}{found['command']}", script)


def listing(node: Any) -> str:
    return str(
        node.sh("cd /etc/ssl/certs && ls -A | grep -e tkg- -e trustplane; find -lname 'tkg-*' -printf '%l\\n' | sort")
    )


async def test_trust_is_added_and_removed_and_containerd_uses_it(
    node: Any, shell: Any, foreign: Callable[[], str]
) -> None:
    before = foreign()
    assert UNTRUSTED in node.pull("one")

    added = await trust.apply(shell, node.trusting("boot", "one"))
    assert (added.written, added.removed, added.restarted) == ((node.path("one"),), (), True)
    assert NOT_FOUND in node.pull("one")
    assert UNTRUSTED in node.pull("two")
    assert node.sh("openssl verify -CApath /etc/ssl/certs /srv/one.crt") == "/srv/one.crt: OK\n"
    assert added.state.files[node.path("one")].digest == plan.digest_of(node.pems["one"])

    removed = await trust.apply(shell, {})
    assert removed.removed == (node.path("boot"), node.path("one"))
    assert UNTRUSTED in node.pull("one")
    assert listing(node) == "tkg-theirs.pem\n"
    assert foreign() == before


async def test_an_unchanged_set_restarts_nothing(node: Any, shell: Any) -> None:
    desired = node.trusting("boot", "two")
    await trust.apply(shell, desired)
    run = node.invocation()
    again = await trust.apply(shell, desired)
    assert (again.written, again.removed, again.restarted, node.invocation()) == ((), (), False, run)


async def test_a_running_container_survives(node: Any, shell: Any) -> None:
    node.sh("""
        image=$(ctr -n k8s.io images ls -q | grep pause | head -1)
        ctr -n k8s.io run -d --null-io "$image" survivor
    """)
    tasks = "ctr -n k8s.io tasks ls 2>/dev/null | grep survivor"
    before = node.sh(tasks)
    assert "RUNNING" in before
    try:
        await trust.apply(shell, node.trusting("one"))
        assert node.sh(tasks) == before
    finally:
        node.sh(
            "alias c='ctr -n k8s.io'; c tasks kill -s KILL survivor; c tasks rm -f survivor; c c rm survivor",
            check=False,
        )


async def test_a_foreign_file_at_a_desired_path_stops_everything(node: Any, shell: Any) -> None:
    node.sh(f"printf 'theirs\\n' >{node.path('one')}")
    run = node.invocation()
    with pytest.raises(NodeError, match=r"in the place of trust files: /etc/ssl/certs/tkg-one\.pem"):
        await trust.apply(shell, node.trusting("boot", "one", "two"))
    assert listing(node) == "tkg-boot.pem\ntkg-one.pem\ntkg-boot.pem\n"  # the last one is the target of a link
    assert (node.sh(f"cat {node.path('one')}"), node.invocation()) == ("theirs\n", run)


@pytest.mark.parametrize(
    ("deed", "seen"),
    [
        ("echo '# edited' >>{path}", plan.Drift(edited=("{path}",))),
        ("rm {path}", plan.Drift(removed=("{path}",))),
        ("mv {path} /root/x; ln -s /root/x {path}", plan.Drift(replaced=("{path}",))),
        ("cp {path} /root/x; rm {path}; cp /root/x {path}", plan.Drift(is_stale=True)),
        ("cp {path} /root/x; : >{path}; systemctl restart containerd; cp /root/x {path}", plan.Drift(is_stale=True)),
        ("echo theirs >/etc/ssl/certs/tkg-theirs.pem", plan.Drift(foreign=("/etc/ssl/certs/tkg-theirs.pem",))),
    ],
)
async def test_drift_is_reported_and_repaired(node: Any, shell: Any, deed: str, seen: plan.Drift) -> None:
    desired, path = node.trusting("one"), node.path("one")
    await trust.apply(shell, desired)
    node.sh(f"sleep 1.1; {deed.format(path=path)}")  # times of files are in whole seconds

    found = plan.find_drift(desired, await trust.read(shell))
    names = ("edited", "removed", "replaced", "foreign")
    assert {name: getattr(found, name) for name in names} == {
        name: tuple(one.format(path=path) for one in getattr(seen, name)) for name in names
    }
    assert found.is_stale == seen.is_stale

    await trust.apply(shell, desired)
    repaired = plan.find_drift(desired, await trust.read(shell))
    assert repaired == plan.Drift(foreign=found.foreign)
    assert NOT_FOUND in node.pull("one")


def scoped(node: Any, **hosts: str) -> dict[str, str]:
    """Return the files of registry-scoped entries."""
    pems = {name: node.pems[name] for name in hosts}
    return dict(files_of(set_of(**pems).with_scopes({name: (host,) for name, host in hosts.items()})))


async def test_scope_by_registry_needs_no_restart(node: Any, shell: Any, foreign: Callable[[], str]) -> None:
    await trust.apply(shell, {})  # the entry of its bootstrap data was node-wide
    before, runtime = foreign(), (await trust.read(shell)).runtime
    assert UNTRUSTED in node.pull("one")
    result = await trust.apply(shell, scoped(node, one=ONE))
    assert (result.restarted, result.state.runtime) == (False, runtime)
    assert NOT_FOUND in node.pull("one")
    assert UNTRUSTED in node.pull("two")

    # A second entry for the same registry, and one entry removed.
    assert not (await trust.apply(shell, scoped(node, one=ONE, boot=ONE))).restarted
    assert NOT_FOUND in node.pull("one")
    assert not (await trust.apply(shell, scoped(node, boot=ONE))).restarted
    assert UNTRUSTED in node.pull("one")

    removed = await trust.apply(shell, {})
    assert UNTRUSTED in node.pull("one")
    assert (removed.restarted, removed.state.runtime, foreign()) == (False, runtime, before)
    assert node.sh("ls -A /etc/containerd/certs.d") == "three.test\n"


def asking_before_each_change(script: str) -> str:
    """Return a script that makes containerd pull before each change, and before its end."""
    pull = (
        f"{{ ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d {ONE}/x:none </dev/null 2>&1 | tail -1; }}"
    )
    asked = f"{pull} >>{_ANSWERS}; "
    return _CHANGES.sub(lambda found: f"{found['before']}{asked}{found['command']}", script)


async def test_an_entry_stays_trusted_while_its_scope_changes(
    node: Any, shell: Any, foreign: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = foreign(), node.trusting("one")
    await trust.apply(shell, whole)
    monkeypatch.setattr(trust, "_SCRIPT", asking_before_each_change(trust._SCRIPT))
    for desired, places in ((scoped(node, one=ONE), f"{ONE}\nthree.test\n"), (whole, "three.test\n")):
        node.sh(f": >{_ANSWERS}")
        assert (await trust.apply(shell, desired)).restarted
        answers = node.sh(f"cat {_ANSWERS}").splitlines()
        assert len(answers) > 10
        assert [answer for answer in answers if NOT_FOUND not in answer] == []
        assert NOT_FOUND in node.pull("one")
        assert node.sh("ls -A /etc/containerd/certs.d") == places
        assert ("tkg-one.pem" in listing(node)) == (desired == whole)
    assert foreign() == before


@pytest.mark.timeout(900)  # some forty kills, each with several inspections of the node
async def test_a_registry_stays_trusted_while_writes_are_killed_at_any_step(
    node: Any, shell: Any, foreign: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alternate between two entries for the registry and one of them."""
    sets = [scoped(node, one=ONE), scoped(node, boot=ONE, one=ONE)]
    await trust.apply(shell, sets[0])
    before, run = foreign(), node.invocation()
    whole, step, died = trust._SCRIPT, 0, [True, True]
    while any(died):
        step += 1
        node.sh(f"rm -f {_STEPS}")
        monkeypatch.setattr(trust, "_SCRIPT", dying_at(whole, 1 + step // 2))
        try:
            await trust.apply(shell, sets[step % 2])
            died[step % 2] = False
        except (NodeError, TransientError):
            died[step % 2] = True
        assert NOT_FOUND in node.pull("one"), f"step {step}"
        monkeypatch.setattr(trust, "_SCRIPT", whole)
        result = await trust.apply(shell, sets[step % 2])
        assert plan.find_drift(sets[step % 2], result.state).is_current, f"step {step}"
    assert NOT_FOUND in node.pull("one")
    assert step > 20
    assert (node.invocation(), foreign()) == (run, before)


async def test_a_foreign_hosts_toml_stays_and_is_reported(node: Any, shell: Any) -> None:
    directory = f"/etc/containerd/certs.d/{ONE}"
    node.sh(f"mkdir -p {directory}; printf 'server = \"https://{ONE}\"\\n' >{directory}/hosts.toml")
    seen = f"cd {directory}; sha256sum *; stat -c '%n %Y %Z %a' . *"
    before = node.sh(seen)
    with pytest.raises(NodeError, match=rf"in the place of trust files: {directory}/hosts\.toml"):
        await trust.apply(shell, scoped(node, one=ONE) | node.trusting("two"))
    assert (node.sh(seen), UNTRUSTED in node.pull("two")) == (before, True)
    await trust.apply(shell, {})
    assert node.sh(seen) == before


async def _nobody_objects() -> None:
    pass


async def test_files_without_effect_are_reported(node: Any, shell: Any) -> None:
    directory = f"/etc/containerd/certs.d/{ONE}"
    node.sh(f"mkdir -p {directory}; printf 'theirs\\n' >{directory}/theirs.crt")
    files = scoped(node, one=ONE)
    await trust.apply(shell, files)
    fine = (await _compare(shell, files, FACTS, _nobody_objects)).inspection
    assert (fine.message, NOT_FOUND in node.pull("one")) == ("", True)
    assert fine.hidden == f"other files without effect: {directory}/theirs.crt because of {directory}/hosts.toml"

    nearer = directory.replace(":5001", "_5001_")
    node.sh(f"mkdir -p {nearer}; printf 'server = \"https://{ONE}\"\\n' >{nearer}/hosts.toml")
    useless = (await _compare(shell, files, FACTS, _nobody_objects)).inspection
    assert (useless.message, UNTRUSTED in node.pull("one")) == (
        f"files of Trustplane without effect: {directory} because of {nearer}",
        True,
    )


@pytest.mark.timeout(900)  # some forty kills, each with several inspections of the node
async def test_after_a_kill_at_any_step_the_next_attempt_converges(
    node: Any, shell: Any, foreign: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alternate between {boot, one} and {one, two}: one entry is added, one removed, one stays."""
    before = foreign()
    sets = {"boot": node.trusting("one", "boot"), "two": node.trusting("one", "two")}
    with kubelet(node, "/bin/sleep infinity"):
        await killed_at_each_step(node, shell, monkeypatch, sets)
    assert foreign() == before


async def killed_at_each_step(
    node: Any, shell: Any, monkeypatch: pytest.MonkeyPatch, sets: dict[str, dict[str, str]]
) -> None:
    await trust.apply(shell, sets["boot"])
    whole, step, died = trust._SCRIPT, 0, True
    while died:
        step += 1
        gone, come = ("boot", "two") if step % 2 else ("two", "boot")
        node.sh(f"rm -f {_STEPS}")
        monkeypatch.setattr(trust, "_SCRIPT", dying_at(whole, step))
        try:
            await trust.apply(shell, sets[come])
            died = False
        except (NodeError, TransientError):
            died = True
        half = "for f in one boot two; do f=/etc/ssl/certs/tkg-$f.pem; test ! -e $f || openssl x509 -noout -in $f; done"
        assert node.sh(half) == "", f"step {step}"
        node.await_kubelet()

        monkeypatch.setattr(trust, "_SCRIPT", whole)
        result = await trust.apply(shell, sets[come])
        assert plan.find_drift(sets[come], result.state).is_current, f"step {step}"
        assert (UNTRUSTED if come == "boot" else NOT_FOUND) in node.pull("two"), f"step {step}"
        files, linked = listing(node), sorted(f"tkg-{name}.pem" for name in ("one", come))
        assert files.split() == sorted([*linked, "tkg-theirs.pem"]) + linked, f"step {step}"
        assert gone not in files
    assert step > 15


async def test_150_cas_of_the_size_of_rsa_4096_take_two_round_trips(
    node: Any, shell: Any, new_ca: Callable[[str], str]
) -> None:
    padding = f"# {'x' * 1300}\n"
    desired = {node.path(f"many-{n}"): padding + new_ca(f"many {n}") for n in range(150)}
    desired |= node.trusting("one")
    result = await trust.apply(shell, desired)
    assert len(result.written) == 151
    assert NOT_FOUND in node.pull("one")
    assert plan.find_drift(desired, result.state).is_current
    assert len(result.state.links) == 151

    removed = await trust.apply(shell, {})
    assert len(removed.removed) == 151
    assert listing(node) == ""


async def test_openssl_finds_cas_of_one_name_and_several_in_a_file_and_keeps_foreign_ones(
    node: Any, shell: Any, new_ca: Callable[[str], str]
) -> None:
    first, second, theirs, several = new_ca("same"), new_ca("same"), new_ca("same"), new_ca("x") + new_ca("y")
    desired = {node.path("first"): first, node.path("second"): second, node.path("several"): several}
    await trust.apply(shell, desired)
    node.sh(f"cat >/srv/theirs.pem <<'END'\n{theirs}END\n")
    row = f"/etc/ssl/certs/{node.sh('openssl x509 -noout -subject_hash -in /srv/theirs.pem').strip()}"
    node.sh(f"ln -s /srv/theirs.pem {row}.2")

    def found() -> set[str]:
        """Return the certificates that OpenSSL finds: it follows a row of links up to the first missing number."""
        return set(node.sh(f"n=0; while readlink {row}.$n; do n=$((n + 1)); done").split())

    assert found() == {"tkg-first.pem", "tkg-second.pem", "/srv/theirs.pem"}
    assert listing(node).count("tkg-several.pem") == 3

    await trust.apply(shell, {node.path("second"): second})
    assert found() == {"tkg-second.pem", "/srv/theirs.pem"}
    await trust.apply(shell, {})
    assert found() == {"/srv/theirs.pem"}
    assert node.sh(f"readlink {row}.2") == "/srv/theirs.pem\n"
    node.sh("find /etc/ssl/certs -lname /srv/theirs.pem -delete")
