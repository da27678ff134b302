"""How trust.sh waits for pulls and pauses the kubelet during a restart of containerd: a real shell, real processes."""

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
# Lists the leases that a line of `listings` names: each line once, the last one always. `new` is another lease each
# time; `changes` is none, but a change of the database. Records each listing with the kubelet's state.
CTR = """#!/bin/sh
here=$(dirname "$0")
state=$(sed 's/.*) \\(.\\) .*/\\1/' "/proc/$(cat "$here/pid")/stat")
read -r names <"$here/listings"
[ "$(sed -n '$=' "$here/listings")" = 1 ] || sed -i 1d "$here/listings"
echo "$state $names" >>"$here/listed"
cat "$here/leases"
for name in $names; do
    case $name in
    changes) touch "$here/database"; continue ;;
    new) name=new-$(wc -l <"$here/listed") ;;
    esac
    date "+$name %FT%TZ containerd.io/gc.expire=later"
done
"""
HEADER = "ID CREATED AT LABELS"
# Shorter times than the script's, in hundredths of a second.
SCALED = {" 80 80 200;": " 20 20 30;", "await 300": "await 20", "= 200 ]": "= 30 ]"}


class Node:
    """The programs of a node, and a process that plays the kubelet."""

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
        self.write("listings", "")
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
    def listed(self) -> list[str]:
        """The listings of leases: the kubelet's state, T if paused, and what was listed."""
        return [line.strip() for line in (self.bin / "listed").read_text().splitlines()]

    def state(self) -> str:
        return Path(f"/proc/{self.kubelet.pid}/stat").read_text().rpartition(") ")[2][0]

    def until(self, change: int) -> None:
        """Wait until the kubelet has been stopped (os.WSTOPPED) or continued (os.WCONTINUED)."""
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


def lists_pulls(node: Node, leases: Sequence[str], started: str) -> bool:
    node.write("leases", HEADER, *leases)
    answer = node.sh(f"time='{started}' first= dead=; list_pulls; echo \"[$pulls]\"")
    assert answer.startswith("[ ")
    return answer != "[ ]\n"


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
    assert lists_pulls(node, listed, systemd(now - timedelta(seconds=up))) == bool(pulls)


def test_a_lease_of_the_second_in_which_containerd_started_is_a_pull(node: Node) -> None:
    now = datetime.now(UTC)
    assert lists_pulls(node, [lease(now)], systemd(now))


def test_if_the_start_of_containerd_is_unknown_every_young_lease_is_a_pull(node: Node) -> None:
    assert lists_pulls(node, [lease(datetime.now(UTC))], "")


def test_without_an_answer_from_containerd_nothing_is_waited_for(node: Node) -> None:
    (node.bin / "ctr").write_text("#!/bin/sh\necho 'ctr: cannot connect' >&2; exit 1\n")
    assert node.sh("time='' first='' dead=''; list_pulls; echo \"[$pulls]\"") == "[ ]\n"


def test_leases_left_over_by_the_last_restart_are_no_pulls(node: Node) -> None:
    node.write("listings", "a b")
    assert node.sh("await_containerd; note_database; settle; echo $pulls") == "\n"
    assert node.listed == ["S a b", "T a b"]
    node.write("listings", "a b c", "a b")
    assert node.sh("note_database; settle; echo $pulls") == "\n"
    assert node.listed[2:] == ["T a b c", "T a b"]


def test_the_kubelet_is_paused_and_resumed(node: Node) -> None:
    calls = f"query_units; pause_kubelet; {STATE}; echo $paused; resume_kubelet; {STATE}; echo [$paused]"
    # A resumed process runs, or sleeps again.
    assert node.sh(calls).replace("R", "S") == f"T\n{node.kubelet.pid}\nS\n[]\n"


def test_it_can_be_paused_again_and_again(node: Node) -> None:
    calls = f"query_units; for n in 1 2 3 4 5; do pause_kubelet; {STATE}; resume_kubelet; done"
    assert node.sh(calls) == "T\n" * 5


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$", "kill -9 0", "kill -TERM 0", "kill -HUP 0"])
def test_it_is_resumed_however_the_script_ends(node: Node, end: str) -> None:
    process = node.start(f"query_units; pause_kubelet; {end}")
    node.until(os.WCONTINUED)  # so it had been stopped
    process.wait()
    assert node.state() in "RS"


def test_it_is_resumed_after_some_seconds_although_the_script_hangs(node: Node) -> None:
    process = node.start("query_units; pause_kubelet; sleep 600", {"flock -w 5": "flock -w 0.2"})
    node.until(os.WCONTINUED)  # so it had been stopped
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_kubelet_stopped_by_an_administrator_stays_stopped(node: Node) -> None:
    node.kubelet.send_signal(signal.SIGSTOP)
    node.until(os.WSTOPPED)
    assert node.sh("note_database; settle; echo [$paused]; resume_kubelet") == "[]\n"
    assert node.listed == ["T"]
    assert node.state() == "T"


@pytest.mark.parametrize(
    ("state", "pid"), [("inactive", 0), ("activating", None), ("active", 0), ("active", 2**22 + 1)]
)
def test_if_no_kubelet_runs_none_is_paused(node: Node, state: str, pid: int | None) -> None:
    node.is_kubelet(state, pid)
    assert node.sh("note_database; settle; echo [$paused]; resume_kubelet; echo done") == "[]\ndone\n"
    assert node.listed == ["S"]


def test_without_pulls_one_listing_is_enough_and_the_kubelet_is_paused_before_it(node: Node) -> None:
    assert node.sh(f"note_database; settle; {STATE}") == "T\n"
    assert node.listed == ["T"]


def test_pulls_are_waited_for(node: Node) -> None:
    node.write("listings", *["a"] * 4, "")
    assert node.sh(f"note_database; settle; {STATE}") == "T\n"
    assert [one[1:].strip() for one in node.listed] == ["a"] * 4 + [""]
    assert node.listed[-1] == "T"


def test_changes_of_the_database_are_waited_for(node: Node) -> None:
    """A request without a lease yet, or an answer whose lease has ended."""
    node.write("listings", *["changes"] * 4, "")
    assert node.sh(f"note_database; settle; {STATE}") == "T\n"
    assert node.listed == [*["T changes"] * 4, "T"]


def test_a_change_of_the_database_before_the_first_listing_is_waited_for(node: Node) -> None:
    node.write("listings", "")
    assert node.sh(f"note_database; touch {node.bin}/database; settle; {STATE}") == "T\n"
    assert node.listed == ["T", "T"]


def test_without_the_database_leases_decide(node: Node) -> None:
    (node.bin / "database").unlink()
    node.write("listings", "a", "")
    assert node.sh(f"note_database; settle; {STATE}") == "T\n"
    assert node.listed == ["T a", "T"]


def pauses(node: Node) -> list[str]:
    """Return the listings of each pause."""
    states = "".join(one[0] for one in node.listed)
    return [piece for piece in states.replace("R", "S").split("S") if piece]


def test_pulls_that_others_begin_all_the_time_are_waited_for_in_one_pause_only(node: Node) -> None:
    node.write("listings", "a new", "a b new", "new")
    assert node.sh(f"note_database; settle; {STATE}", SCALED) == "T\n"
    assert len(pauses(node)) == 1
    assert node.listed[-1] == "T new"


def test_a_long_pull_beside_short_ones_is_waited_for(node: Node) -> None:
    node.write("listings", *["a new"] * 8, "new")
    assert node.sh(f"note_database; settle; {STATE}", SCALED) == "T\n"
    assert node.listed[-1] == "T new"


def test_a_pull_that_hangs_has_the_kubelet_paused_three_times_and_is_cut(node: Node) -> None:
    node.write("listings", "a")
    assert node.sh(f"note_database; settle; {STATE}", SCALED) == "T\n"
    assert len(pauses(node)) == 3
    assert node.listed[-1] == "T a"
