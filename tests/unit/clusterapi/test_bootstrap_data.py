"""Bootstrap data: read as the kubeadm provider writes it, and never more than a fraction of a second."""

import base64
import gzip
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trustplane.clusterapi.bootstrap_data import MAX_LENGTH, WrittenFile, written_files
from trustplane.clusterapi.inplace_files import bootstrap_files

PATH = "/etc/ssl/certs/tkg-a.pem"
HEADER = "## template: jinja\n#cloud-config\n\nwrite_files:"
REST = "\nruncmd:\n  - 'kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml  && echo success'\n"


def indented(content: str) -> str:
    return "\n".join(f"      {line}" for line in content.split("\n"))


def cloud_config(*files: WrittenFile, rest: str = REST) -> bytes:
    """What Cluster API makes of a machine's files (bootstrap/kubeadm/pkg/cloudinit/files.go)."""
    text = HEADER
    for one in files:
        encoding = f'    encoding: "{one.encoding}"\n' if one.encoding else ""
        text += f"\n-   path: {one.path}\n{encoding}    owner: root:root\n    permissions: '0644'\n    content: |\n"
        text += indented(one.content)
    return (text + rest).encode()


def by_yaml(data: bytes) -> list[WrittenFile]:
    listed: list[dict[str, Any]] = yaml.safe_load(data)["write_files"] or []
    return [WrittenFile(one["path"], one.get("encoding", ""), one["content"]) for one in listed]


# A content that begins with a blank is one that Cluster API itself writes wrongly.
letters = st.text(st.sampled_from("abcMII+/=-:#'\"{}[]&*!|>%@`, é"), max_size=30)
contents = st.lists(letters, min_size=1, max_size=8).map("\n".join).filter(lambda text: text[:1] not in " \n" and text)
paths = st.sampled_from([PATH, "/etc/containerd/certs.d/r.test:5000/hosts.toml", "/run/kubeadm/kubeadm.yaml"])
files = st.lists(st.builds(WrittenFile, paths, st.sampled_from(["", "base64", "gzip+base64"]), contents), max_size=5)


@given(files)
def test_it_is_read_as_a_reader_of_yaml_does(written: list[WrittenFile]) -> None:
    data = cloud_config(*written)
    assert written_files(data) == by_yaml(data)


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "'it''s'",
        '"a\\nb"',
        "|-\n      a\n      b\n",
        "|+\n      a\n\n",
        "|\n      a\n        b\n\n      c\n\n",
        "|\n",
    ],
)
def test_every_form_of_a_value_that_is_written(value: str) -> None:
    data = f"write_files:\n  - path: '/x'\n    content: {value}\n    owner: root\n  - content: y\n    path: /z\na: b\n"
    assert written_files(data.encode()) == by_yaml(data.encode())


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_are_those_of_the_machine(end: str) -> None:
    data = cloud_config(WrittenFile(PATH, "", "A\nB\n")).replace(b"\n", end.encode())
    assert written_files(data) == [WrittenFile(PATH, "", "A\nB\n")] == by_yaml(data)


def test_data_of_a_machine_with_180_entries_is_read() -> None:
    pem = "-----BEGIN CERTIFICATE-----\n" + ("M" * 64 + "\n") * 60 + "-----END CERTIFICATE-----\n"
    written = [WrittenFile(f"/etc/ssl/certs/tkg-{n}.pem", "", pem) for n in range(180)]
    data = cloud_config(*written)
    assert 700_000 < len(data) < MAX_LENGTH
    assert bootstrap_files(data) == {one.path: pem for one in written}


def test_a_file_of_ours_that_is_packed_is_not_unpacked() -> None:
    packed = base64.b64encode(gzip.compress(b"\0" * 100_000_000)).decode()
    data = cloud_config(
        WrittenFile(PATH, "gzip+base64", packed), WrittenFile("/etc/ssl/certs/tkg-b.pem", "base64", "?é")
    )
    assert bootstrap_files(data) == {PATH: "", "/etc/ssl/certs/tkg-b.pem": ""}


def merge_keys(levels: int) -> str:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: v" for n in range(10)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, levels + 1)]
    return "\n".join(lines)


HOSTILE = {
    "merge keys": f"#cloud-config\nwrite_files: []\n{merge_keys(9)}",
    "merge keys first": f"#cloud-config\n{merge_keys(9)}\nwrite_files: []\n",
    "flow": "#cloud-config\nwrite_files: []\na: [" + ",".join("b" for _ in range(350_000)) + "]",
    "flow of maps": "write_files: [" + ",".join("{a: 1}" for _ in range(100_000)) + "]",
    "nesting": "write_files:\n- path: " + "[" * 900_000,
    "deeper and deeper": "write_files:\n" + "\n".join(" " * n + "- path: x" for n in range(1300)),
    "date": "write_files: []\na: 2001-99-99\n",
    "number": "write_files:\n- path: " + "9" * 900_000,
    "items": "write_files:\n" + "- path: /x\n" * 90_000,
    "keys": "write_files:\n- path: /x\n" + "  content: |\n" * 80_000,
    "lines": "write_files:\n- content: |\n" + "\n" * 1_000_000,
    "blanks": "write_files:\n- content: |\n" + (" " * 999 + "\n") * 1_000,
    "quotes": "write_files:\n- path: " + "'" * 900_000,
    "escapes": 'write_files:\n- path: "' + "\\" * 900_000 + '"',
    "colons": "write_files:\n- " + "a:" * 450_000,
    "dashes": "write_files:\n" + "-" * 900_000,
    "heads": "write_files:\n" * 70_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_data_takes_long_or_raises(text: str) -> None:
    data = text.encode()[:MAX_LENGTH]
    start = time.process_time()
    bootstrap_files(data)
    assert time.process_time() - start < 1  # seconds; most take some milliseconds


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: f"write_files:\n{text}".encode(errors="replace")),
    )
)
def test_any_data_is_read_or_says_nothing(data: bytes) -> None:
    found = bootstrap_files(data)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize(
    "data",
    [
        b"write_files:\n" + b"#" * MAX_LENGTH,
        b"write_files:\n" + b"- path: /x\n" * 5001,
        b"write_files:" + b"\n" * 100_001,
    ],
    ids=["length", "files", "lines"],
)
def test_data_beyond_all_bounds_says_nothing(data: bytes) -> None:
    assert bootstrap_files(data) is None
