"""The script that unpacks a trust set on a machine, run by real shells in a separate root directory."""

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
from trustplane.trust.bundle import MAX_BUDGET_BYTES, render_bundle
from trustplane.trust.entries import EMPTY_SET, TrustSet, is_entry_name
from trustplane.trust.node_files import is_registry_host, parse_certificate_path, parse_hosts_toml_path, render_files

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
    """A directory as the root of a machine, with a fake systemctl that records its calls."""

    def __init__(self, folder: Path, shell: str = "sh") -> None:
        self.folder, self.shell = folder, shell
        self.root, self.bin = folder / "root", folder / "bin"
        for directory in (self.bin, self.path("/etc/ssl/certs"), self.path("/etc/trustplane")):
            directory.mkdir(parents=True)
        self.put_program("systemctl", SYSTEMCTL)
        (self.bin / "run").write_text("1\n")

    def put_program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def path(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def unpack(self, text: str | None) -> list[str]:
        """Run the script with a bundle, and return the lines of its result."""
        if text is not None:
            self.path(bootstrap.BUNDLE_FILE).write_text(text)
        script = self.folder / "unpack.sh"
        script.write_text(bootstrap.UNPACK_SCRIPT)
        process = self._run([self.shell, "-e", str(script)])
        assert (process.returncode, process.stdout) == (0, "")
        booted = self.path(bootstrap.BOOTED_FILE)
        return booted.read_text().splitlines() if booted.is_file() else []

    def state(self) -> NodeReport:
        """Read the state of the machine as the manager does."""
        text = node_trust._SCRIPT.replace("PATH=/", f"PATH={self.bin}:/")
        for name in ("/etc/ssl/certs", "/etc/containerd/certs.d", "/etc/trustplane"):
            text = text.replace(f"={name}\n", f"={self.path(name)}\n")
        process = self._run([self.shell, "-s"], f"{text}\nmain state </dev/null\n")
        return parse_node_report(process.stdout.replace(str(self.root), ""))

    def files(self) -> dict[str, str]:
        """Return the files outside /etc/trustplane by path: content, or the target of a link."""
        paths = sorted(path for path in self.root.rglob("*") if path.is_symlink() or not path.is_dir())
        names = {f"/{path.relative_to(self.root)}": path for path in paths}
        return {
            name: str(path.readlink()) if path.is_symlink() else path.read_text()
            for name, path in names.items()
            if not name.startswith("/etc/trustplane/")
        }

    def restarts(self) -> list[str]:
        """Return the calls of systemctl that restart a unit."""
        calls = self.bin / "calls"
        return [call for call in calls.read_text().splitlines() if "restart" in call] if calls.exists() else []

    def _run(self, command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "TRUSTPLANE_ROOT": str(self.root)}
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trust() -> TrustSet:
    """Return node-wide entries `.one` and `two`, the latter with two certificates, and registry-scoped `thr..ee`."""
    example = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())["spec"]["trust"]
    data = [entry["data"] for entry in example["additionalTrustedCAs"]]
    pems = "".join(base64.b64decode(text).decode() for text in data)
    listed = [
        TrustedCA(name=".one", data=data[0]),
        TrustedCA(name="two", data=base64.b64encode(pems.encode()).decode()),
        TrustedCA(name="thr..ee", data=data[1]),
    ]
    reading = entries.parse_list(listed)
    assert reading.is_valid
    return reading.trust.with_scopes({"thr..ee": ("r.test:5000", "[fd00::1]")})


@pytest.fixture(params=["dash", "bash"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


def test_after_a_set_is_unpacked_the_manager_has_nothing_to_change(machine: Machine, trust: TrustSet) -> None:
    assert machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES)) == [f"trustplane-set-{trust.digest}", "complete"]
    desired = render_files(trust)
    assert {path: text for path, text in machine.files().items() if "tkg-" in path or "hosts" in path} == desired
    assert {machine.path(path).stat().st_mode & 0o777 for path in desired} == {0o644}
    assert machine.restarts() == ["try-restart containerd"]
    state = machine.state()
    assert plan.find_drift(desired, state).is_current
    todo = plan.plan_write(desired, state)
    assert (todo.is_needed, todo.conflicts) == (False, ())
    record = TrustManifest({path: plan.digest_of(content) for path, content in desired.items()})
    assert machine.path(MANIFEST).read_bytes() == plan.encode_manifest(record)
    assert sorted(path.name for path in machine.path("/etc/trustplane").iterdir()) == sorted(
        ["booted", "lock", "runtime", "trust.json", "trust.pem"]
    )


def test_openssl_finds_each_certificate(machine: Machine, trust: TrustSet) -> None:
    machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))
    links = [target for path, target in machine.files().items() if machine.path(path).is_symlink()]
    assert sorted(links) == ["tkg-.one.pem", "tkg-two.pem", "tkg-two.pem"]
    file = machine.folder / "ca.pem"
    for certificate in trust.node_wide.entries[1].certificates:
        file.write_text(certificate.pem)
        command = ["openssl", "verify", "-CApath", str(machine.path("/etc/ssl/certs")), "-no-CAfile", str(file)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_equal_certificates_under_similar_names_have_a_link_each(machine: Machine, trust: TrustSet) -> None:
    certificates = trust.entries[0].certificates
    similar = TrustSet(tuple(entries.TrustListEntry(name, certificates) for name in ("a", "a.pem", "tkg-a")))
    (machine.path("/etc/ssl/certs") / "tkg-a.pem").write_text(similar.entries[0].pem)
    assert machine.unpack(render_bundle(similar, MAX_BUDGET_BYTES))[-1] == "complete"
    assert not plan.plan_write(render_files(similar), machine.state()).is_needed
    links = [path for path in machine.files() if machine.path(path).is_symlink()]
    assert [path.rpartition(".")[2] for path in links] == ["0", "1", "2"]


def test_the_script_does_nothing_after_a_write_by_the_manager(machine: Machine, trust: TrustSet) -> None:
    machine.path(MANIFEST).write_text("{}")
    assert machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES)) == []
    assert (machine.files(), machine.restarts()) == ({}, [])


def test_a_second_run_changes_nothing(machine: Machine, trust: TrustSet) -> None:
    machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))
    before = machine.files()
    assert machine.unpack(render_bundle(EMPTY_SET, MAX_BUDGET_BYTES))[0] == f"trustplane-set-{trust.digest}"
    assert (machine.files(), machine.restarts()) == (before, ["try-restart containerd"])


def test_an_interrupted_run_is_repeated(machine: Machine, trust: TrustSet) -> None:
    text = render_bundle(trust, MAX_BUDGET_BYTES)
    machine.unpack(text)
    before = machine.files()
    machine.path(MANIFEST).unlink()
    machine.path("/etc/ssl/certs/tkg-two.pem").unlink()
    (machine.path("/etc/ssl/certs") / ".trustplane").mkdir()
    (machine.path("/etc/ssl/certs") / ".trustplane/tkg-two.pem").write_text("half")
    assert machine.unpack(text)[-1] == "complete"
    assert machine.files() == before
    assert not plan.plan_write(render_files(trust), machine.state()).is_needed


def test_a_set_without_entries_is_complete(machine: Machine) -> None:
    assert machine.unpack(render_bundle(EMPTY_SET, MAX_BUDGET_BYTES)) == [
        f"trustplane-set-{EMPTY_SET.digest}",
        "complete",
    ]
    assert (machine.files(), machine.restarts()) == ({}, [])
    assert machine.path(MANIFEST).read_bytes() == plan.encode_manifest(TrustManifest({}))


def test_registry_scoped_files_need_no_restart(machine: Machine, trust: TrustSet) -> None:
    scoped = TrustSet(tuple(entry for entry in trust.entries if entry.scope))
    machine.unpack(render_bundle(scoped, MAX_BUDGET_BYTES))
    assert (machine.files(), machine.restarts()) == (render_files(scoped), [])
    assert plan.find_drift(render_files(scoped), machine.state()).is_current


def test_a_part_of_a_set_is_reported_as_partial(machine: Machine, trust: TrustSet) -> None:
    assert machine.unpack(render_bundle(trust, 3500))[-1] == "partial"
    drift = plan.find_drift(render_files(trust), machine.state())
    assert drift.missing
    assert (drift.edited, drift.removed, drift.foreign, drift.is_stale) == ((), (), (), False)
    assert plan.plan_write(render_files(trust), machine.state()).conflicts == ()


@pytest.mark.parametrize("edit", ["", "\n", "trustplane-end\n", "x", "cut", "no end", "more", "other digest", None])
def test_an_incomplete_bundle_is_not_unpacked(machine: Machine, trust: TrustSet, edit: str | None) -> None:
    text = render_bundle(trust, MAX_BUDGET_BYTES)
    edits = {
        "cut": text[: len(text) // 2],
        "no end": text.removesuffix("trustplane-end\n"),
        "more": f"{text}x\n",
        "other digest": text.replace(trust.digest, trust.digest.upper()),
    }
    lines = machine.unpack(edits.get(edit, edit) if edit is not None else None)
    assert lines[0] in (f"trustplane-set-{trust.digest}", "trustplane-set-unknown")
    assert lines[1:] == ["failed: /etc/trustplane/trust.pem is incomplete"]
    assert (machine.files(), machine.restarts(), machine.state().manifest) == ({}, [], None)


def test_a_bundle_without_a_final_newline_is_complete(machine: Machine, trust: TrustSet) -> None:
    assert machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES).rstrip("\n"))[-1] == "complete"
    assert plan.find_drift(render_files(trust), machine.state()).is_current


@pytest.mark.parametrize("kind", ["file", "link", "directory", "dangling"])
def test_a_foreign_file_stays(machine: Machine, trust: TrustSet, kind: str) -> None:
    path = machine.path("/etc/ssl/certs/tkg-two.pem")
    if kind == "file":
        path.write_text("foreign\n")
    elif kind == "directory":
        path.mkdir()
    else:
        target = machine.folder / "foreign"
        if kind == "link":
            target.write_text(render_files(trust)["/etc/ssl/certs/tkg-two.pem"])
        path.symlink_to(target)
    lines = machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))
    assert lines[1:] == ["failed: /etc/ssl/certs/tkg-two.pem already exists with other content and stays"]
    assert (path.is_file() and not path.is_symlink()) == (kind == "file")
    assert kind != "file" or path.read_text() == "foreign\n"
    assert not (machine.folder / "foreign").exists() or kind == "link"
    state = machine.state()
    assert state.manifest
    assert sorted(state.manifest.files) == sorted(render_files(trust).keys() - {"/etc/ssl/certs/tkg-two.pem"})
    assert plan.plan_write(render_files(trust), state).conflicts == ("/etc/ssl/certs/tkg-two.pem",)


def test_a_foreign_file_with_the_desired_content_becomes_managed(machine: Machine, trust: TrustSet) -> None:
    machine.path("/etc/ssl/certs/tkg-two.pem").write_text(render_files(trust)["/etc/ssl/certs/tkg-two.pem"])
    assert machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))[-1] == "complete"
    assert not plan.plan_write(render_files(trust), machine.state()).is_needed


def test_no_hosts_toml_names_a_foreign_file(machine: Machine, trust: TrustSet) -> None:
    folder = machine.path("/etc/containerd/certs.d/r.test:5000")
    folder.mkdir(parents=True)
    (folder / "tkg-thr..ee.pem").write_text("foreign\n")
    lines = machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))
    assert [line.split(" ")[1] for line in lines[1:]] == [
        "/etc/containerd/certs.d/r.test:5000/tkg-thr..ee.pem",
        "/etc/containerd/certs.d/r.test:5000/hosts.toml",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["tkg-thr..ee.pem"]


def test_a_failed_write_is_reported(machine: Machine, trust: TrustSet) -> None:
    machine.put_program("mv", '#!/bin/sh\ncase "$*" in *tkg-two*) exit 1 ;; esac\nexec /bin/mv "$@"\n')
    assert machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))[1:] == [
        "failed: /etc/ssl/certs/tkg-two.pem could not be written"
    ]
    assert plan.find_drift(render_files(trust), machine.state()).missing == ("/etc/ssl/certs/tkg-two.pem",)


def test_a_failed_restart_of_the_runtime_is_reported(machine: Machine, trust: TrustSet) -> None:
    (machine.bin / "broken").touch()
    assert machine.unpack(render_bundle(trust, MAX_BUDGET_BYTES))[1:] == ["failed: containerd could not be restarted"]
    assert plan.find_drift(render_files(trust), machine.state()).is_stale


def test_a_machine_that_cannot_store_a_record_joins(machine: Machine, trust: TrustSet) -> None:
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
    assert lines[1:] == ["failed: a file of the set has a path that Trustplane does not use"] * len(HOSTILE)
    assert machine.files() == {"/etc/ssl/certs/tkg-good.pem": f"content {len(HOSTILE)}\n"}
    assert sorted(path.name for path in machine.folder.iterdir()) == ["bin", "root", "unpack.sh"]


_LETTERS = st.text("aZ0.-_:[]/ $*", max_size=6)
_PATHS = st.sampled_from(HOSTILE) | st.builds(
    "{}{}{}".format,
    st.sampled_from(["/etc/ssl/certs/tkg-", "/etc/containerd/certs.d/", "/etc/containerd/certs.d/r.test/tkg-"]),
    _LETTERS,
    st.sampled_from([".pem", "/hosts.toml", "/tkg-a.pem", "/hosts-toml", "/tkg-a-pem"]),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(_PATHS, max_size=20, unique=True))
def test_the_script_and_the_manager_allow_the_same_paths(paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.unpack(bundle(paths))
        assert machine.files().keys() == {
            path for path in paths if parse_certificate_path(path) or parse_hosts_toml_path(path)
        }


@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200).filter(str.strip))
def test_any_content_becomes_one_file_or_none(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.unpack(bundle(["/etc/ssl/certs/tkg-a.pem"]).replace("content 0", content))
        assert machine.files().keys() <= {"/etc/ssl/certs/tkg-a.pem"}


def test_lines_of_a_later_release_are_ignored(machine: Machine, trust: TrustSet) -> None:
    text = render_bundle(trust, MAX_BUDGET_BYTES).replace("trustplane-file", "trustplane-new x\nword\ntrustplane-file")
    assert machine.unpack(text)[-1] == "complete"
    assert plan.find_drift(render_files(trust), machine.state()).is_current


def test_the_script_fits_into_a_template() -> None:
    assert len(bootstrap.UNPACK_SCRIPT) < 10_240  # limit for the content of a file in a KubeadmConfig
    assert not [text for text in FORBIDDEN if text in bootstrap.UNPACK_SCRIPT]
    assert bootstrap.UNPACK_SCRIPT.isascii()
    assert not bootstrap.UNPACK_SCRIPT.startswith(" ")
    assert all(line == line.rstrip() for line in bootstrap.UNPACK_SCRIPT.splitlines())


_NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=30).filter(is_entry_name) | st.sampled_from(
    ["-", ".a", "__import__", "do", "end" * 80, "trustplane-end", "%7B%7B", "raw"]
).filter(is_entry_name)
_HOSTS = st.sampled_from(["r.test", "[fd00::1]:5000", "R-1.test:5000", "{{x}}", "{%raw%}"]).filter(is_registry_host)


@settings(max_examples=30, deadline=None)
@given(shape=st.dictionaries(_NAMES, st.sets(_HOSTS, max_size=2), max_size=4))
def test_cloud_init_renders_script_and_bundle_unchanged(trust: TrustSet, shape: dict[str, set[str]]) -> None:
    certificates = trust.entries[0].certificates
    named = TrustSet(
        tuple(entries.TrustListEntry(name, certificates, tuple(sorted(hosts))) for name, hosts in shape.items())
    )
    contents = [bootstrap.UNPACK_SCRIPT, render_bundle(named, MAX_BUDGET_BYTES)]
    parts = "".join(f"-   path: /x\n    content: |\n{textwrap.indent(content, ' ' * 6)}\n" for content in contents)
    text = f"#cloud-config\n\nwrite_files:\n{parts}"
    # As in cloud-init: cloudinit/templater.py, detect_template.
    template = jinja2.Template(text, undefined=jinja2.DebugUndefined, trim_blocks=True, extensions=["jinja2.ext.do"])
    assert template.render(v1={"local_hostname": "node"}, ds={}) + "\n" == text
    written = yaml.safe_load(text)["write_files"]
    assert [file["content"].rstrip("\n") for file in written] == [content.rstrip("\n") for content in contents]


def test_ignition_carries_script_and_bundle_unchanged(machine: Machine, trust: TrustSet) -> None:
    contents = [bootstrap.UNPACK_SCRIPT, render_bundle(trust, MAX_BUDGET_BYTES)]
    # As Cluster API's converter escapes it: vincent-petithory/dataurl, rfc2396.go.
    sources = [f"data:,{urllib.parse.quote(content, safe='-_.!~*()' + chr(39))}" for content in contents]
    urls = json.loads(json.dumps({"files": sources}))["files"]
    assert [urllib.parse.unquote(url.removeprefix("data:,")) for url in urls] == contents
    assert machine.unpack(urllib.parse.unquote(urls[1].removeprefix("data:,")))[-1] == "complete"
