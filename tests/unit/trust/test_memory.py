from trustplane.trust.entries import ParsedList
from trustplane.trust.memory import ListCache


def test_a_list_is_parsed_once_and_the_least_recently_used_is_evicted() -> None:
    memory, read = ListCache(most=20), []

    def ask(*parts: str) -> ParsedList:
        return memory.get_or_parse(parts, lambda: read.append(parts) or ParsedList())

    assert ask("a" * 10) is ask("a" * 10)
    assert read == [("a" * 10,)]
    ask("b" * 10)
    ask("a" * 10)
    ask("c" * 10)  # the cache holds two
    ask("a" * 10)
    assert len(read) == 3
    ask("b" * 10)
    assert len(read) == 4
    ask("d" * 100)  # exceeds the limit
    ask("d" * 100)
    assert len(read) == 6


def test_boundaries_between_parts_matter() -> None:
    memory, read = ListCache(), []
    for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("\ud800",)):
        memory.get_or_parse(parts, lambda: read.append(1) or ParsedList())
    assert len(read) == 5
