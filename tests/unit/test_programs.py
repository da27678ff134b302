"""What is started, as it is read from the source; on real machines: tests/bare."""

import pytest

from bare import needs, programs, shell
from bare.needs import Machine, missing, unused
from bare.programs import PYTHON, Start

NEEDS = {"podman": "a.py:run", "conmon": "preflight", "sort": "Makefile", "/usr/lib/python3.*/ensurepip": "venv"}
OWNERS = {
    "podman": "podman",
    "conmon": "conmon",
    "sort": "coreutils",
    "/usr/lib/python3.*/ensurepip": "python3.11-venv",
}
MACHINE = Machine(OWNERS, promised={"coreutils"})
PACKAGES = {"podman", "python3-venv"}


def of(source: str) -> list[Start]:
    return list(programs.in_source(source, "a.py"))


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("subprocess.run(['ip', 'link'], check=True)", "ip"),
        ("subprocess.check_output('openssl version', shell=True)", "openssl"),
        ("asyncio.create_subprocess_exec('skopeo', *words)", "skopeo"),
        ("words = ['ip']\n    subprocess.Popen([*words, 'link'])", "ip"),
        ("words = ['ip'] + more\n    words += rest\n    subprocess.Popen(words)", "ip"),
        ("subprocess.run([*FIRST, 'link'])", "setpriv"),
        ("subprocess.run([sys.executable, '-m', 'trustplane'])", PYTHON),
        ("functools.partial(subprocess.Popen, ['ss'])", "ss"),
        ("with subprocess.Popen(('ss',)):\n        pass", "ss"),
    ],
)
def test_the_first_word_of_a_command_is_read(line: str, program: str) -> None:
    source = f"FIRST = ('setpriv', 'unshare')\ndef start(words, more, rest):\n    {line}\n"
    assert of(source) == [Start("a.py:start", program)]


def test_what_cannot_be_read_is_told() -> None:
    assert of("def start(words):\n    subprocess.run(words)\n") == [Start("a.py:start", None)]
    with pytest.raises(ValueError, match=r"a\.py:start does not show which program it starts"):
        needs.names(Start("a.py:start", None))
    with pytest.raises(ValueError, match=r"a\.py:start does not show"):
        needs.names(Start("a.py:start", "unshare"))  # starts another


def test_a_program_by_its_path_is_our_own() -> None:
    assert of("subprocess.run([programs / 'kubectl', 'get'])") == [Start("a.py:", "kubectl", path=True)]


def test_words_of_a_script() -> None:
    script = """
# comment; with 'quote
own() { sort -u; }
x=$(cut -f 1 | tr a "b; c") own | head -n 1 && LC_ALL=C grep -q 'if this; then that' "$(base64 <file)"
if [ -e x ]; then own; elif timeout 5 flock 9; then n=$((n + 1)); else exec sync; fi
case $x in
a) mv a b ;;
esac
while read -r x; do tee "$x"; done <<TEXT
$(stat x)
TEXT
"""
    assert shell.programs(script) - {"["} == {
        *("sort", "cut", "tr", "head", "grep", "base64", "timeout", "flock", "sync", "mv", "tee", "stat")
    }


def test_words_of_a_makefile() -> None:
    text = "GO := $(shell go version | awk '{print $$3}')\nall: $(VENV)\n\t@$(BIN)/pytest | tail \\\n  || cp a b\n"
    assert shell.in_makefile(text) == {"go", "awk", "tail", "cp"}


def test_what_is_installed_by_our_own_doing_is_not_missing() -> None:
    assert missing(NEEDS, MACHINE, PACKAGES) == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_program_whose_package_is_not_asked_for_is_missing(package: str) -> None:
    assert any(f"PACKAGES lacks {package} " in line for line in missing(NEEDS, MACHINE, PACKAGES - {package}))


def test_a_program_that_is_not_there_is_missing() -> None:
    assert missing({"nc": "a.py:run"}, MACHINE, PACKAGES) == ["nc is not installed (a.py:run)"]


def test_a_package_that_nothing_needs_is_unused() -> None:
    assert unused(NEEDS, MACHINE, {*PACKAGES, "conntrack"}) == {"conntrack"}


def test_every_place_shows_what_it_starts_and_no_answer_is_left_over() -> None:
    needed = needs.needed(needs.ROOT)
    assert {"podman", "mmdebstrap", "skopeo", "ip", "apt-get", "git"} <= needed.keys()
    places = {start.place for start in programs.starts(needs.ROOT, "src", "packages", "tests")}
    assert needs.ANSWERS.keys() - places == set()


def test_what_the_local_stack_asks_for_is_what_setup_installs() -> None:
    packages = needs.listed((needs.ROOT / "Makefile").read_text())
    asked = {*needs.preflight.REQUIRED_PACKAGES.values(), *needs.preflight.BUILD_PACKAGES.values()}
    assert asked - packages - {"conmon", "mount"} == set()  # of podman, and of every Debian
