"""How trust.sh finds a moment without pulls and holds the kubelet for a restart: a real shell, and real processes."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trustplane.nodes import trust

SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0")
printf 'ActiveState=active\\nInvocationID=1\\nExecMainStartTimestamp=%s\\nMainPID=1\\n\\n' "$(cat "$here/started")"
cat "$here/kubelet"
"""
# Says what was asked, while the kubelet was in which state, and lists a lease as often as there are lines for that.
CTR = """#!/bin/sh
here=$(dirname "$0")
state=$(sed 's/.*) \\(.\\) .*/\\1/' "/proc/$(cat "$here/pid")/stat")
if [ ! -s "$here/busy" ]; then
    echo "idle $state" >>"$here/looks"
    cat "$here/leases"
    exit
fi
echo "busy $state" >>"$here/looks"
read -r what <"$here/busy"
[ "$what" = always ] || sed -i 1d "$here/busy"
case $what in
database) touch "$here/database" ;;
*) date "+123-abc %FT%TZ containerd.io/gc.expire=later" ;;
esac
"""
HEADER = "ID CREATED AT LABELS"
# Shorter times than the script's, in hundredths of a second.
SCALED = {" 100 100 200;": " 20 20 30;", "await 300": "await 20", "= 200 ]": "= 30 ]"}


class Node:
    """A node's programs, and a process that plays the kubelet."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder
        self.kubelet = subprocess.Popen(["sleep", "600"])
        for name, text in (("systemctl", SYSTEMCTL), ("ctr", CTR)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "database").touch()
        (folder / "trust.json").touch()
        (folder / "pid").write_text(str(self.kubelet.pid))
        self.write("started", "Sat 2026-01-03 10:00:00 UTC")
        self.write("leases", HEADER)
        self.is_kubelet("active")

    def write(self, name: str, *lines: str) -> None:
        (self.bin / name).write_text("".join(f"{line}\n" for line in lines))

    def is_kubelet(self, state: str, pid: int | None = None) -> None:
        self.write("kubelet", f"MainPID={self.kubelet.pid if pid is None else pid}", f"ActiveState={state}")

    def script(self, calls: str, changes: Mapping[str, str]) -> str:
        text = trust._SCRIPT.replace("PATH=/", f"PATH={self.bin}:/").replace("home=/etc/trustplane", f"home={self.bin}")
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        return f"{text}\ndatabase={self.bin}/database\n{calls}\n"

    def start(self, calls: str, changes: Mapping[str, str] = MappingProxyType({})) -> subprocess.Popen[str]:
        process = subprocess.Popen(["sh", "-s"], stdin=-1, stdout=-3, stderr=-3, text=True, start_new_session=True)
        assert process.stdin
        process.stdin.write(self.script(calls, changes))
        process.stdin.close()
        return process

    def sh(self, calls: str, changes: Mapping[str, str] = MappingProxyType({})) -> str:
        done = subprocess.run(
            ["sh", "-s"], input=self.script(calls, changes), text=True, stdout=-1, stderr=-2, check=False
        )
        return done.stdout

    @property
    def looks(self) -> list[str]:
        return (self.bin / "looks").read_text().splitlines()

    def state(self) -> str:
        return Path(f"/proc/{self.kubelet.pid}/stat").read_text().rpartition(") ")[2][0]

    def until(self, change: int) -> None:
        """Wait until the kubelet was stopped (os.WSTOPPED) or continued (os.WCONTINUED)."""
        os.waitid(os.P_PID, self.kubelet.pid, change)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.kubelet.kill()
    node.kubelet.wait()


STATE = "sed 's/.*) \\(.\\) .*/\\1/' /proc/$pid/stat"


def lease(created: datetime, *, expires: bool = True, name: str = "123456789-AbCd") -> str:
    label = f"containerd.io/gc.expire={created + timedelta(days=1):%FT%TZ}" if expires else "-"
    return f"{name} {created:%FT%TZ} {label} "


def is_idle(node: Node, leases: Sequence[str], started: str) -> bool:
    node.write("leases", HEADER, *leases)
    answer = node.sh(f"time='{started}'; if idle; then echo idle; else echo busy; fi")
    assert answer in ("idle\n", "busy\n")
    return answer == "idle\n"


def systemd(time: datetime) -> str:
    return f"{time:%a %F %T} UTC"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    leases=st.lists(st.tuples(st.sampled_from([0, 5, 200, 400, 3600]), st.booleans()), max_size=5),
    up=st.sampled_from([1, 100, 300, 10_000]),
)
def test_leases_that_expire_are_pulls_unless_older_than_containerd_or_five_minutes(
    node: Node, leases: list[tuple[int, bool]], up: int
) -> None:
    now = datetime.now(UTC)
    listed = [lease(now - timedelta(seconds=age), expires=expires) for age, expires in leases]
    pulls = [age for age, expires in leases if expires and age <= min(up, 300)]
    assert is_idle(node, listed, systemd(now - timedelta(seconds=up))) == (not pulls)


def test_a_lease_of_the_second_in_which_containerd_started_is_a_pull(node: Node) -> None:
    now = datetime.now(UTC)
    assert not is_idle(node, [lease(now)], systemd(now))


def test_where_the_start_of_containerd_is_not_known_each_young_lease_is_a_pull(node: Node) -> None:
    assert not is_idle(node, [lease(datetime.now(UTC))], "")


def test_what_cannot_be_asked_is_idle(node: Node) -> None:
    (node.bin / "ctr").write_text("#!/bin/sh\necho 'ctr: cannot connect' >&2; exit 1\n")
    assert node.sh("time=; idle && echo idle") == "idle\n"


def test_the_kubelet_is_held_and_goes_on(node: Node) -> None:
    assert (
        node.sh(f"look; hold; {STATE}; echo $held; release; {STATE}; echo [$held]") == f"T\n{node.kubelet.pid}\nS\n[]\n"
    )


def test_it_can_be_held_again_and_again(node: Node) -> None:
    assert node.sh(f"look; for n in 1 2 3 4 5; do hold; {STATE}; release; done") == "T\n" * 5


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$", "kill -9 0", "kill -TERM 0", "kill -HUP 0"])
def test_it_goes_on_when_the_script_ends_in_any_way(node: Node, end: str) -> None:
    process = node.start(f"look; hold; {end}")
    node.until(os.WCONTINUED)  # it was stopped before
    process.wait()
    assert node.state() == "S"


def test_it_goes_on_after_a_while_though_the_script_hangs(node: Node) -> None:
    process = node.start("look; hold; sleep 600", {"flock -w 5": "flock -w 0.2"})
    node.until(os.WCONTINUED)  # it was stopped before
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_one_that_somebody_has_stopped_stays_so(node: Node) -> None:
    node.kubelet.send_signal(signal.SIGSTOP)
    node.until(os.WSTOPPED)
    assert node.sh("look; settle; echo [$held]; release") == "[]\n"
    assert node.looks == ["idle T"]
    assert node.state() == "T"


@pytest.mark.parametrize(
    ("state", "pid"), [("inactive", 0), ("activating", None), ("active", 0), ("active", 2**22 + 1)]
)
def test_where_no_kubelet_runs_none_is_held(node: Node, state: str, pid: int | None) -> None:
    node.is_kubelet(state, pid)
    assert node.sh("settle; echo [$held]; release; echo done") == "[]\ndone\n"
    assert node.looks == ["idle S"]


def test_without_pulls_one_look_is_enough_and_the_kubelet_is_held_from_before_it(node: Node) -> None:
    assert node.sh(f"settle; {STATE}") == "T\n"
    assert node.looks == ["idle T"]


def test_pulls_are_waited_for(node: Node) -> None:
    node.write("busy", *["lease"] * 3)
    assert node.sh(f"settle; {STATE}") == "T\n"
    assert [one.split()[0] for one in node.looks] == ["busy"] * 3 + ["idle"]
    assert node.looks[-1] == "idle T"


def test_what_the_database_notes_is_waited_for(node: Node) -> None:
    """A request whose lease was not there yet, or an answer whose lease is gone already."""
    node.write("busy", *["database"] * 2)
    assert node.sh(f"settle; {STATE}") == "T\n"
    assert node.looks == ["busy T", "busy T", "idle T"]


def test_without_the_database_leases_decide(node: Node) -> None:
    (node.bin / "database").unlink()
    node.write("busy", "lease")
    assert node.sh(f"settle; {STATE}") == "T\n"
    assert node.looks[-1] == "idle T"


def test_pulls_that_do_not_end_have_the_kubelet_held_in_pieces_and_are_not_waited_for_any_longer(node: Node) -> None:
    node.write("busy", "always")
    assert node.sh(f"settle; {STATE}", SCALED) == "T\n"
    states = "".join(one.removeprefix("busy ") for one in node.looks)
    assert [piece for piece in states.replace("R", "S").split("S") if piece][2:]  # held three times
    assert states.endswith("T")
