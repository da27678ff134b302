"""Pools of candidate issuers."""

from collections.abc import Iterable, Iterator

from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.der import MalformedError


class Pool:
    """Certificates by subject, each once, in order."""

    def __init__(self, certificates: Iterable[GoCertificate] = ()) -> None:
        self._all: dict[bytes, GoCertificate] = {}
        self._by_subject: dict[bytes, list[GoCertificate]] = {}
        self.unreadable: list[tuple[int, str]] = []  # (index, Go's message)
        for certificate in certificates:
            self._add(certificate)

    @classmethod
    def read(cls, ders: Iterable[bytes]) -> "Pool":
        """Parse DER certificates. Those that Go cannot parse are only listed in `unreadable`: nodes ignore them."""
        pool = cls()
        for index, der in enumerate(ders):
            try:
                pool._add(GoCertificate.read(der))
            except MalformedError as error:
                pool.unreadable.append((index, str(error)))
        return pool

    def _add(self, certificate: GoCertificate) -> None:
        if certificate.raw not in self._all:
            self._all[certificate.raw] = certificate
            self._by_subject.setdefault(certificate.subject.raw, []).append(certificate)

    def __contains__(self, certificate: GoCertificate) -> bool:
        return certificate.raw in self._all

    def __iter__(self) -> Iterator[GoCertificate]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def issuers_of(self, certificate: GoCertificate) -> list[GoCertificate]:
        """Return the candidate issuers in Go's order: key identifiers match, one is absent, they differ."""
        expected = certificate.extensions.authority_key_id

        def rank(candidate: GoCertificate) -> int:
            actual = candidate.extensions.subject_key_id
            if actual == expected:
                return 0
            return 1 if not actual or not expected else 2

        return sorted(self._by_subject.get(certificate.issuer.raw, ()), key=rank)
