from pathlib import Path

from trustplane_local import residue

# `iptables --table nat --list-rules` with two stacks' networks and one of the machine's own.
NAT = """\
-P POSTROUTING ACCEPT
-N NETAVARK-AAAA
-N NETAVARK-BBBB
-N NETAVARK-HOSTPORT-MASQ
-A POSTROUTING -j NETAVARK-HOSTPORT-MASQ
-A POSTROUTING -s 198.18.64.0/18 -j NETAVARK-AAAA
-A POSTROUTING -s 198.18.128.0/18 -j NETAVARK-BBBB
-A POSTROUTING -s 10.88.0.0/16 -m comment --comment "198.18.64.0/18" -j MASQUERADE
-A NETAVARK-AAAA -d 198.18.64.0/18 -j ACCEPT
-A NETAVARK-AAAA ! -d 224.0.0.0/4 -j MASQUERADE
-A NETAVARK-BBBB -d 198.18.128.0/18 -j ACCEPT
-A NETAVARK-HOSTPORT-MASQ -m comment --comment "netavark portfw masq mark" -j MASQUERADE
"""
FILTER = """\
-N NETAVARK_FORWARD
-A FORWARD -m comment --comment "netavark firewall plugin rules" -j NETAVARK_FORWARD
-A NETAVARK_FORWARD -d 198.18.64.0/18 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A NETAVARK_FORWARD -s 198.18.64.0/18 -j ACCEPT
-A NETAVARK_FORWARD -s 198.18.128.0/18 -j ACCEPT
"""


def removals(rules: str, subnet: str) -> list[str]:
    return [" ".join(arguments) for arguments in residue.rule_removals(rules, subnet)]


def test_rules_of_one_subnet_are_removed_and_no_others() -> None:
    assert removals(FILTER, "198.18.64.0/18") == [
        "-D NETAVARK_FORWARD -d 198.18.64.0/18 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-D NETAVARK_FORWARD -s 198.18.64.0/18 -j ACCEPT",
    ]


def test_the_networks_own_chain_goes_after_the_jump_to_it() -> None:
    assert removals(NAT, "198.18.64.0/18") == [
        "-D POSTROUTING -s 198.18.64.0/18 -j NETAVARK-AAAA",
        "-F NETAVARK-AAAA",
        "-X NETAVARK-AAAA",
    ]


def test_where_nothing_is_left_nothing_is_removed() -> None:
    assert removals(NAT, "198.19.0.0/18") == []


MOUNTS = r"""22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:40 / /stacks/one/podman/run/a/merge rw - overlay overlay rw
31 30 0:41 / /stacks/one/podman/run/a/merge/proc rw - proc proc rw
32 22 0:42 / /stacks/one-more/podman rw - tmpfs tmpfs rw
33 22 0:43 / /stacks/with\040blank rw - tmpfs tmpfs rw
"""


def test_mounts_below_a_folder_come_innermost_first() -> None:
    assert residue.parse_mounts(MOUNTS, [Path("/stacks/one")]) == [
        "/stacks/one/podman/run/a/merge/proc",
        "/stacks/one/podman/run/a/merge",
    ]


def test_a_folder_with_a_blank_is_found() -> None:
    assert residue.parse_mounts(MOUNTS, [Path("/stacks/with blank")]) == ["/stacks/with blank"]


def test_control_groups_are_removed_in_every_hierarchy_and_nobody_elses(tmp_path: Path) -> None:
    for hierarchy in ("", "pids", "systemd"):
        (tmp_path / hierarchy / "trustplane-a" / "libpod-1" / "kubepods" / "pod1").mkdir(parents=True)
        (tmp_path / hierarchy / "trustplane-a" / "libpod-2").mkdir()
        (tmp_path / hierarchy / "trustplane-b" / "libpod-3").mkdir(parents=True)
    residue.remove_cgroups("trustplane-a/libpod-1", tmp_path)
    left = sorted(str(folder.relative_to(tmp_path)) for folder in tmp_path.rglob("libpod-*"))
    assert left == [
        *("pids/trustplane-a/libpod-2", "pids/trustplane-b/libpod-3"),
        *("systemd/trustplane-a/libpod-2", "systemd/trustplane-b/libpod-3"),
        *("trustplane-a/libpod-2", "trustplane-b/libpod-3"),
    ]
    residue.remove_cgroups("trustplane-a", tmp_path)
    assert not list(tmp_path.rglob("trustplane-a"))
    assert len(list(tmp_path.rglob("trustplane-b"))) == 3
