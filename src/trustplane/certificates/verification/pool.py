"""Certificates that may have issued another one."""

from collections.abc import Iterable, Iterator

from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.der import MalformedError


class Pool:
    """Certificates by subject, each once, in their order."""

    def __init__(self, certificates: Iterable[GoCertificate] = ()) -> None:
        self._all: dict[bytes, GoCertificate] = {}
        self._by_subject: dict[bytes, list[GoCertificate]] = {}
        self.unreadable: list[tuple[int, str]] = []  # place, Go's words
        for one in certificates:
            self._add(one)

    @classmethod
    def read(cls, ders: Iterable[bytes]) -> "Pool":
        """Read DER certificates. As on a node, those that Go cannot read are left out: they are in `unreadable`."""
        pool = cls()
        for index, der in enumerate(ders):
            try:
                pool._add(GoCertificate.read(der))
            except MalformedError as error:
                pool.unreadable.append((index, str(error)))
        return pool

    def _add(self, one: GoCertificate) -> None:
        if one.raw not in self._all:
            self._all[one.raw] = one
            self._by_subject.setdefault(one.subject.raw, []).append(one)

    def __contains__(self, one: GoCertificate) -> bool:
        return one.raw in self._all

    def __iter__(self) -> Iterator[GoCertificate]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def issuers_of(self, one: GoCertificate) -> list[GoCertificate]:
        """Return the candidates in Go's order: key identifiers match, one is absent, they differ."""
        wanted = one.extensions.authority_key_id

        def rank(candidate: GoCertificate) -> int:
            own = candidate.extensions.subject_key_id
            if own == wanted:
                return 0
            return 1 if not own or not wanted else 2

        return sorted(self._by_subject.get(one.issuer.raw, ()), key=rank)
