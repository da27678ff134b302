from trustplane.trust.entries import Reading
from trustplane.trust.memory import Memory


def test_a_list_is_read_once_and_the_one_asked_for_longest_ago_is_forgotten() -> None:
    memory, read = Memory(most=20), []

    def ask(*parts: str) -> Reading:
        return memory.reading(parts, lambda: read.append(parts) or Reading())

    assert ask("a" * 10) is ask("a" * 10)
    assert read == [("a" * 10,)]
    ask("b" * 10)
    ask("a" * 10)
    ask("c" * 10)  # there is room for two
    ask("a" * 10)
    assert len(read) == 3
    ask("b" * 10)
    assert len(read) == 4
    ask("d" * 100)  # larger than all that may be kept
    ask("d" * 100)
    assert len(read) == 6


def test_parts_are_not_run_together() -> None:
    memory, read = Memory(), []
    for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("\ud800",)):
        memory.reading(parts, lambda: read.append(1) or Reading())
    assert len(read) == 5
