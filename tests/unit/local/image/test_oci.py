import hashlib
import io
import json
import tarfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane_local.image import containers, oci
from trustplane_local.image.oci import LayerFile, LayerLink

NAME = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=6)
CONTENTS = st.dictionaries(st.tuples(st.sampled_from(["", "usr/", "usr/bin/"]), NAME).map("".join), st.binary())


class Image:
    """An archive as an importer reads it: every digest and size on the way is checked."""

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as tar:
            self.blobs = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        assert json.loads(self.blobs["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        (self.described,) = json.loads(self.blobs["index.json"])["manifests"]
        manifest = json.loads(self.blob(self.described))
        self.configuration = json.loads(self.blob(manifest["config"]))
        (layer,) = manifest["layers"]
        assert self.configuration["rootfs"] == {"type": "layers", "diff_ids": [layer["digest"]]}
        self.layer = tarfile.open(fileobj=io.BytesIO(self.blob(layer)))  # noqa: SIM115 - in memory

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        content = self.blobs[f"blobs/{descriptor['digest'].replace(':', '/')}"]
        assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
        assert len(content) == descriptor["size"]
        return content


def test_image_has_its_name_command_and_files(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"binary")
    archive = tmp_path / "image.tar"
    entries = [LayerLink("sbin", "usr/sbin"), LayerFile("usr/bin/etcd", program), LayerFile("etc/page", b"text", 0o644)]
    oci.write_archive(archive, "registry.k8s.io/etcd:3.6.8-0", entries, ["etcd", "--version"])

    image = Image(archive)
    assert image.described["annotations"] == {
        "io.containerd.image.name": "registry.k8s.io/etcd:3.6.8-0",
        "org.opencontainers.image.ref.name": "3.6.8-0",
    }
    assert image.configuration["os"] == "linux"
    assert image.configuration["config"]["Entrypoint"] == ["etcd", "--version"]
    assert "/usr/local/bin" in image.configuration["config"]["Env"][0]
    assert image.layer.getnames() == ["etc", "usr", "usr/bin", "etc/page", "sbin", "usr/bin/etcd"]
    assert {member.mtime for member in image.layer} == {0}
    assert image.layer.getmember("usr/bin/etcd").mode == 0o755
    assert image.layer.getmember("sbin").linkname == "usr/sbin"


@given(CONTENTS, st.randoms())
def test_equal_content_gives_equal_bytes_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("images")
    shuffled = list(contents.items())
    random.shuffle(shuffled)
    for name, order in (("one", contents.items()), ("two", shuffled)):
        oci.write_archive(folder / name, "host/name:tag", [LayerFile(*item) for item in order], ["/x"])

    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    layer = Image(folder / "one").layer
    found = {member.name: layer.extractfile(member).read() for member in layer if member.isfile()}  # type: ignore[union-attr]
    assert found == contents


def test_hello_serves_a_page_by_the_root_file_systems_busybox(tmp_path: Path) -> None:
    for name in ("bin/busybox", "usr/bin/catatonit"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"program")
    containers.write_hello_image(tmp_path / "hello.tar", "registry.corp.test/apps/hello:1.0", tmp_path)
    image = Image(tmp_path / "hello.tar")
    assert image.configuration["config"]["Entrypoint"][2:5] == ["/bin/busybox", "httpd", "-f"]
    page = image.layer.extractfile("www/index.html")
    assert page is not None
    assert b"Hello from registry.corp.test/apps/hello:1.0" in page.read()


def test_archive_of_a_missing_program_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        oci.write_archive(tmp_path / "image.tar", "a/b:c", [LayerFile("x", tmp_path / "absent")], ["/x"])
