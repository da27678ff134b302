from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from trustplane_local.image import packages
from trustplane_local.image.oci import LayerFile, LayerLink

STATUS = """Package: iptables
Status: install ok installed
Depends: libc6 (>= 2.34), libxtables12 (= 1.8.9-2), absent | netbase:any

Package: libc6
Depends: libgcc-s1
Description: a library
 Depends: not-a-field

Package: libgcc-s1
Pre-Depends: libc6

Package: libxtables12

Package: netbase

Package: openssh-server
Depends: libc6
"""


def test_dependencies_are_followed_through_alternatives_and_circles() -> None:
    assert packages.resolve_dependencies(STATUS, ["iptables"]) == {
        "iptables",
        "libc6",
        "libgcc-s1",
        "libxtables12",
        "netbase",
    }


@given(st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefgh"))), st.sampled_from("abcdefg"))
def test_closure_is_closed(depends: dict[str, list[str]], wanted: str) -> None:
    status = "\n\n".join(f"Package: {name}\nDepends: {', '.join(names)}" for name, names in depends.items())
    found = packages.resolve_dependencies(status, [wanted])
    assert found <= depends.keys()
    assert (wanted in found) == (wanted in depends)
    assert all(name in found for package in found for name in depends[package] if name in depends)


def test_files_of_packages_without_their_manuals(tmp_path: Path) -> None:
    information = tmp_path / "var/lib/dpkg/info"
    information.mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text("Package: libc6\n\nPackage: other\n")
    (information / "libc6:amd64.list").write_text(
        "/.\n/lib\n/lib/libc.so\n/lib/libc.so.6\n/usr/share/doc/libc6/copyright\n"
    )
    (information / "other.list").write_text("/usr/bin/other\n")
    for name in ("usr/lib/libc.so", "usr/share/doc/libc6/copyright", "usr/bin/other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "usr/lib/libc.so").chmod(0o755)
    (tmp_path / "usr/lib/libc.so.6").symlink_to("libc.so")
    merged = [LayerLink(name, f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")]
    assert list(packages.package_entries(tmp_path, ["libc6"])) == [
        *merged,
        LayerFile("usr/lib/libc.so", tmp_path / "usr/lib/libc.so", 0o755),
        LayerLink("usr/lib/libc.so.6", "libc.so"),
    ]
