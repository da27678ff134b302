"""The script that unpacks a set on a machine, run by real shells in a root of its own."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import textwrap
import urllib.parse
from pathlib import Path

import jinja2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trustplane.api.configuration import TrustedCA
from trustplane.clusterapi import bootstrap
from trustplane.nodes import plan
from trustplane.nodes import trust as node_trust
from trustplane.nodes.state import MANIFEST, NodeReport, TrustManifest, parse_node_report
from trustplane.trust import entries
from trustplane.trust.bundle import EVERYTHING, render
from trustplane.trust.entries import EMPTY, TrustSet, is_name
from trustplane.trust.places import files, is_host, place, toml_host

EXAMPLES = Path(__file__).parents[3] / "examples"
FORBIDDEN = ("{{", "{%", "{#", "${#", "#}", "%}")  # of Jinja
SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/calls"
case "$*" in
*LoadState*crio) echo not-found ;;
*LoadState*) echo loaded ;;
'show -p InvocationID --value containerd') cat "$here/run" ;;
*ActiveState*kubelet)
    printf "ActiveState=active\\nInvocationID=%s\\nExecMainStartTimestamp=@1\\n" "$(cat "$here/run")"
    printf "\\nActiveState=active\\n" ;;
'try-restart containerd') [ ! -e "$here/broken" ] || exit 1; echo 2 >"$here/run" ;;
'is-active --quiet containerd') [ ! -e "$here/broken" ] ;;
esac
"""


class Machine:
    """A directory as the root of a machine, with a systemd that only takes notes."""

    def __init__(self, folder: Path, shell: str = "sh") -> None:
        self.folder, self.shell = folder, shell
        self.root, self.bin = folder / "root", folder / "bin"
        for one in (self.bin, self.path("/etc/ssl/certs"), self.path("/etc/trustplane")):
            one.mkdir(parents=True)
        self.put_program("systemctl", SYSTEMCTL)
        (self.bin / "run").write_text("1\n")

    def put_program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def path(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def unpack(self, text: str | None) -> list[str]:
        """Run the script with that bundle; return the lines of its record."""
        if text is not None:
            self.path(bootstrap.BUNDLE_FILE).write_text(text)
        script = self.folder / "unpack.sh"
        script.write_text(bootstrap.UNPACK_SCRIPT)
        done = self._run([self.shell, "-e", str(script)])
        assert (done.returncode, done.stdout) == (0, "")
        booted = self.path(bootstrap.BOOTED_FILE)
        return booted.read_text().splitlines() if booted.is_file() else []

    def state(self) -> NodeReport:
        """Read the machine as the manager does."""
        text = node_trust._SCRIPT.replace("PATH=/", f"PATH={self.bin}:/")
        for name in ("/etc/ssl/certs", "/etc/containerd/certs.d", "/etc/trustplane"):
            text = text.replace(f"={name}\n", f"={self.path(name)}\n")
        done = self._run([self.shell, "-s"], f"{text}\nmain state </dev/null\n")
        return parse_node_report(done.stdout.replace(str(self.root), ""))

    def files(self) -> dict[str, str]:
        """Return what lies outside of our own directory, by path; of links what they say."""
        found = sorted(one for one in self.root.rglob("*") if one.is_symlink() or not one.is_dir())
        texts = {f"/{one.relative_to(self.root)}": one for one in found}
        return {
            path: str(one.readlink()) if one.is_symlink() else one.read_text()
            for path, one in texts.items()
            if not path.startswith("/etc/trustplane/")
        }

    def calls(self) -> list[str]:
        calls = self.bin / "calls"
        return [one for one in calls.read_text().splitlines() if "restart" in one] if calls.exists() else []

    def _run(self, command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "TRUSTPLANE_ROOT": str(self.root)}
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trust() -> TrustSet:
    """Entry `two`, of two certificates, for the whole node; .one for the whole node as well; three for registries."""
    found = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())["spec"]["trust"]
    data = [one["data"] for one in found["additionalTrustedCAs"]]
    pems = "".join(base64.b64decode(one).decode() for one in data)
    listed = [
        TrustedCA(name=".one", data=data[0]),
        TrustedCA(name="two", data=base64.b64encode(pems.encode()).decode()),
        TrustedCA(name="thr..ee", data=data[1]),
    ]
    reading = entries.read(listed)
    assert reading.ok
    return reading.trust.scoped({"thr..ee": ("r.test:5000", "[fd00::1]")})


@pytest.fixture(params=["dash", "bash"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


def test_a_set_is_unpacked_and_the_manager_finds_nothing_to_do(machine: Machine, trust: TrustSet) -> None:
    assert machine.unpack(render(trust, EVERYTHING)) == [f"trustplane-set-{trust.digest}", "complete"]
    desired = files(trust)
    assert {path: each for path, each in machine.files().items() if "tkg-" in path or "hosts" in path} == desired
    assert {machine.path(path).stat().st_mode & 0o777 for path in desired} == {0o644}
    assert machine.calls() == ["try-restart containerd"]
    state = machine.state()
    assert plan.find_drift(desired, state).is_current
    todo = plan.plan_write(desired, state)
    assert (todo.is_needed, todo.conflicts) == (False, ())
    record = TrustManifest({path: plan.digest_of(content) for path, content in desired.items()})
    assert machine.path(MANIFEST).read_bytes() == plan.encode_manifest(record)
    assert sorted(one.name for one in machine.path("/etc/trustplane").iterdir()) == sorted(
        ["booted", "lock", "runtime", "trust.json", "trust.pem"]
    )


def test_openssl_finds_each_certificate(machine: Machine, trust: TrustSet) -> None:
    machine.unpack(render(trust, EVERYTHING))
    links = [each for path, each in machine.files().items() if machine.path(path).is_symlink()]
    assert sorted(links) == ["tkg-.one.pem", "tkg-two.pem", "tkg-two.pem"]
    lone = machine.folder / "ca.pem"
    for one in trust.node_wide.entries[1].certificates:
        lone.write_text(one.pem)
        command = ["openssl", "verify", "-CApath", str(machine.path("/etc/ssl/certs")), "-no-CAfile", str(lone)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_equal_certificates_under_like_names_have_a_link_each(machine: Machine, trust: TrustSet) -> None:
    one = trust.entries[0].certificates
    like = TrustSet(tuple(entries.Entry(name, one) for name in ("a", "a.pem", "tkg-a")))
    (machine.path("/etc/ssl/certs") / "tkg-a.pem").write_text(like.entries[0].pem)
    assert machine.unpack(render(like, EVERYTHING))[-1] == "complete"
    assert not plan.plan_write(files(like), machine.state()).is_needed
    links = [path for path in machine.files() if machine.path(path).is_symlink()]
    assert [path.rpartition(".")[2] for path in links] == ["0", "1", "2"]


def test_it_does_nothing_where_the_manager_has_been(machine: Machine, trust: TrustSet) -> None:
    machine.path(MANIFEST).write_text("{}")
    assert machine.unpack(render(trust, EVERYTHING)) == []
    assert (machine.files(), machine.calls()) == ({}, [])


def test_a_second_run_changes_nothing(machine: Machine, trust: TrustSet) -> None:
    machine.unpack(render(trust, EVERYTHING))
    before = machine.files()
    assert machine.unpack(render(EMPTY, EVERYTHING))[0] == f"trustplane-set-{trust.digest}"
    assert (machine.files(), machine.calls()) == (before, ["try-restart containerd"])


def test_what_was_interrupted_is_done_again(machine: Machine, trust: TrustSet) -> None:
    text = render(trust, EVERYTHING)
    machine.unpack(text)
    before = machine.files()
    machine.path(MANIFEST).unlink()
    machine.path("/etc/ssl/certs/tkg-two.pem").unlink()
    (machine.path("/etc/ssl/certs") / ".trustplane").mkdir()
    (machine.path("/etc/ssl/certs") / ".trustplane/tkg-two.pem").write_text("half")
    assert machine.unpack(text)[-1] == "complete"
    assert machine.files() == before
    assert not plan.plan_write(files(trust), machine.state()).is_needed


def test_a_set_without_entries(machine: Machine) -> None:
    assert machine.unpack(render(EMPTY, EVERYTHING)) == [f"trustplane-set-{EMPTY.digest}", "complete"]
    assert (machine.files(), machine.calls()) == ({}, [])
    assert machine.path(MANIFEST).read_bytes() == plan.encode_manifest(TrustManifest({}))


def test_files_of_single_registries_need_no_restart(machine: Machine, trust: TrustSet) -> None:
    scoped = TrustSet(tuple(entry for entry in trust.entries if entry.hosts))
    machine.unpack(render(scoped, EVERYTHING))
    assert (machine.files(), machine.calls()) == (files(scoped), [])
    assert plan.find_drift(files(scoped), machine.state()).is_current


def test_a_part_of_a_set_is_said_to_be_one(machine: Machine, trust: TrustSet) -> None:
    assert machine.unpack(render(trust, 3500))[-1] == "partial"
    drift = plan.find_drift(files(trust), machine.state())
    assert drift.missing
    assert (drift.edited, drift.removed, drift.foreign, drift.is_stale) == ((), (), (), False)
    assert plan.plan_write(files(trust), machine.state()).conflicts == ()


@pytest.mark.parametrize("edit", ["", "\n", "trustplane-end\n", "x", "cut", "no end", "more", "other digest", None])
def test_what_is_not_whole_is_not_unpacked(machine: Machine, trust: TrustSet, edit: str | None) -> None:
    text = render(trust, EVERYTHING)
    edits = {
        "cut": text[: len(text) // 2],
        "no end": text.removesuffix("trustplane-end\n"),
        "more": f"{text}x\n",
        "other digest": text.replace(trust.digest, trust.digest.upper()),
    }
    lines = machine.unpack(edits.get(edit, edit) if edit is not None else None)
    assert lines[0] in (f"trustplane-set-{trust.digest}", "trustplane-set-unknown")
    assert lines[1:] == ["failed: /etc/trustplane/trust.pem is not whole"]
    assert (machine.files(), machine.calls(), machine.state().manifest) == ({}, [], None)


def test_a_last_line_without_an_end_is_one(machine: Machine, trust: TrustSet) -> None:
    assert machine.unpack(render(trust, EVERYTHING).rstrip("\n"))[-1] == "complete"
    assert plan.find_drift(files(trust), machine.state()).is_current


@pytest.mark.parametrize("kind", ["file", "link", "directory", "dangling"])
def test_somebody_else_s_file_stays(machine: Machine, trust: TrustSet, kind: str) -> None:
    path = machine.path("/etc/ssl/certs/tkg-two.pem")
    if kind == "file":
        path.write_text("theirs\n")
    elif kind == "directory":
        path.mkdir()
    else:
        target = machine.folder / "theirs"
        if kind == "link":
            target.write_text(files(trust)["/etc/ssl/certs/tkg-two.pem"])
        path.symlink_to(target)
    lines = machine.unpack(render(trust, EVERYTHING))
    assert lines[1:] == ["failed: /etc/ssl/certs/tkg-two.pem is there with other content and stays"]
    assert (path.is_file() and not path.is_symlink()) == (kind == "file")
    assert kind != "file" or path.read_text() == "theirs\n"
    assert not (machine.folder / "theirs").exists() or kind == "link"
    state = machine.state()
    assert state.manifest
    assert sorted(state.manifest.files) == sorted(files(trust).keys() - {"/etc/ssl/certs/tkg-two.pem"})
    assert plan.plan_write(files(trust), state).conflicts == ("/etc/ssl/certs/tkg-two.pem",)


def test_somebody_else_s_file_with_the_right_content_becomes_ours(machine: Machine, trust: TrustSet) -> None:
    machine.path("/etc/ssl/certs/tkg-two.pem").write_text(files(trust)["/etc/ssl/certs/tkg-two.pem"])
    assert machine.unpack(render(trust, EVERYTHING))[-1] == "complete"
    assert not plan.plan_write(files(trust), machine.state()).is_needed


def test_no_registry_gets_a_file_that_names_somebody_else_s(machine: Machine, trust: TrustSet) -> None:
    folder = machine.path("/etc/containerd/certs.d/r.test:5000")
    folder.mkdir(parents=True)
    (folder / "tkg-thr..ee.pem").write_text("theirs\n")
    lines = machine.unpack(render(trust, EVERYTHING))
    assert [line.split(" ")[1] for line in lines[1:]] == [
        "/etc/containerd/certs.d/r.test:5000/tkg-thr..ee.pem",
        "/etc/containerd/certs.d/r.test:5000/hosts.toml",
    ]
    assert sorted(one.name for one in folder.iterdir()) == ["tkg-thr..ee.pem"]


def test_what_cannot_be_written_is_said(machine: Machine, trust: TrustSet) -> None:
    machine.put_program("mv", '#!/bin/sh\ncase "$*" in *tkg-two*) exit 1 ;; esac\nexec /bin/mv "$@"\n')
    assert machine.unpack(render(trust, EVERYTHING))[1:] == ["failed: /etc/ssl/certs/tkg-two.pem could not be written"]
    assert plan.find_drift(files(trust), machine.state()).missing == ("/etc/ssl/certs/tkg-two.pem",)


def test_a_runtime_that_does_not_come_back_is_said(machine: Machine, trust: TrustSet) -> None:
    (machine.bin / "broken").touch()
    assert machine.unpack(render(trust, EVERYTHING))[1:] == ["failed: containerd could not be restarted"]
    assert plan.find_drift(files(trust), machine.state()).is_stale


def test_a_machine_without_room_for_a_record_joins(machine: Machine, trust: TrustSet) -> None:
    shutil.rmtree(machine.path("/etc/trustplane"))
    machine.path("/etc/trustplane").write_text("")
    assert machine.unpack(None) == []
    assert machine.files() == {"/etc/trustplane": ""}
    assert trust


HOSTILE = (
    "/etc/shadow",
    "/etc/ssl/certs/../../cron.d/tkg-a.pem",
    "/etc/ssl/certs/tkg-../../x.pem",
    "/etc/ssl/certs/tkg-a.crt",
    "/etc/ssl/certs/tkg-$(touch x).pem",
    "/etc/ssl/certs/tkg-a b.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/containerd/certs.d/../tkg-a.pem",
    "/etc/containerd/certs.d/../hosts.toml",
    "/etc/containerd/certs.d/./hosts.toml",
    "/etc/containerd/certs.d/hosts.toml",
    "/etc/containerd/certs.d/_default/hosts.toml",
    "/etc/containerd/certs.d/a/b/hosts.toml",
    "/etc/containerd/certs.d/a/ca.crt",
    "etc/ssl/certs/tkg-a.pem",
    "//etc/ssl/certs/tkg-a.pem",
    "/x/etc/ssl/certs/tkg-a.pem",
    "",
    "*",
    "-rf",
)


def bundle(paths: list[str]) -> str:
    parts = "".join(f"trustplane-file {path}\ncontent {n}\n" for n, path in enumerate(paths))
    return f"trustplane-set-{'0' * 64}\n{parts}trustplane-end\n"


def test_other_paths_are_refused(machine: Machine) -> None:
    lines = machine.unpack(bundle([*HOSTILE, "/etc/ssl/certs/tkg-good.pem"]))
    assert lines[1:] == ["failed: a file of the set has a path that is none of Trustplane's"] * len(HOSTILE)
    assert machine.files() == {"/etc/ssl/certs/tkg-good.pem": f"content {len(HOSTILE)}\n"}
    assert sorted(one.name for one in machine.folder.iterdir()) == ["bin", "root", "unpack.sh"]


_LETTERS = st.text("aZ0.-_:[]/ $*", max_size=6)
_PATHS = st.sampled_from(HOSTILE) | st.builds(
    "{}{}{}".format,
    st.sampled_from(["/etc/ssl/certs/tkg-", "/etc/containerd/certs.d/", "/etc/containerd/certs.d/r.test/tkg-"]),
    _LETTERS,
    st.sampled_from([".pem", "/hosts.toml", "/tkg-a.pem", "/hosts-toml", "/tkg-a-pem"]),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(_PATHS, max_size=20, unique=True))
def test_the_machine_allows_the_paths_that_the_manager_knows(paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.unpack(bundle(paths))
        assert machine.files().keys() == {path for path in paths if place(path) or toml_host(path)}


@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200).filter(str.strip))
def test_any_content_is_a_file_or_nothing(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.unpack(bundle(["/etc/ssl/certs/tkg-a.pem"]).replace("content 0", content))
        assert machine.files().keys() <= {"/etc/ssl/certs/tkg-a.pem"}


def test_lines_of_a_later_release_are_passed_over(machine: Machine, trust: TrustSet) -> None:
    text = render(trust, EVERYTHING).replace("trustplane-file", "trustplane-new x\nword\ntrustplane-file")
    assert machine.unpack(text)[-1] == "complete"
    assert plan.find_drift(files(trust), machine.state()).is_current


def test_the_script_fits_into_a_template() -> None:
    assert len(bootstrap.UNPACK_SCRIPT) < 10_240  # content of a file of a KubeadmConfig
    assert not [one for one in FORBIDDEN if one in bootstrap.UNPACK_SCRIPT]
    assert bootstrap.UNPACK_SCRIPT.isascii()
    assert not bootstrap.UNPACK_SCRIPT.startswith(" ")
    assert all(line == line.rstrip() for line in bootstrap.UNPACK_SCRIPT.splitlines())


_NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=30).filter(is_name) | st.sampled_from(
    ["-", ".a", "__import__", "do", "end" * 80, "trustplane-end", "%7B%7B", "raw"]
).filter(is_name)
_HOSTS = st.sampled_from(["r.test", "[fd00::1]:5000", "R-1.test:5000", "{{x}}", "{%raw%}"]).filter(is_host)


@settings(max_examples=30, deadline=None)
@given(shape=st.dictionaries(_NAMES, st.sets(_HOSTS, max_size=2), max_size=4))
def test_cloud_init_renders_it_as_it_is(trust: TrustSet, shape: dict[str, set[str]]) -> None:
    certificates = trust.entries[0].certificates
    wanted = TrustSet(tuple(entries.Entry(name, certificates, tuple(sorted(hosts))) for name, hosts in shape.items()))
    contents = [bootstrap.UNPACK_SCRIPT, render(wanted, EVERYTHING)]
    parts = "".join(f"-   path: /x\n    content: |\n{textwrap.indent(one, ' ' * 6)}\n" for one in contents)
    text = f"#cloud-config\n\nwrite_files:\n{parts}"
    # As cloud-init does it (cloudinit/templater.py, detect_template).
    template = jinja2.Template(text, undefined=jinja2.DebugUndefined, trim_blocks=True, extensions=["jinja2.ext.do"])
    assert template.render(v1={"local_hostname": "node"}, ds={}) + "\n" == text
    written = yaml.safe_load(text)["write_files"]
    assert [one["content"].rstrip("\n") for one in written] == [one.rstrip("\n") for one in contents]


def test_ignition_carries_it_as_it_is(machine: Machine, trust: TrustSet) -> None:
    contents = [bootstrap.UNPACK_SCRIPT, render(trust, EVERYTHING)]
    # As Cluster API's converter escapes it (vincent-petithory/dataurl, rfc2396.go).
    sources = [f"data:,{urllib.parse.quote(one, safe='-_.!~*()' + chr(39))}" for one in contents]
    read = json.loads(json.dumps({"files": sources}))["files"]
    assert [urllib.parse.unquote(one.removeprefix("data:,")) for one in read] == contents
    assert machine.unpack(urllib.parse.unquote(read[1].removeprefix("data:,")))[-1] == "complete"
