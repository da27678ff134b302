"""Normalisation: the same certificates give the same set, files and canonical data, however a list is written."""

import base64
import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from oracle.pem import data, pem

from assets.material import block, many
from trustplane.api.configuration import TrustedCA
from trustplane.certificates.parsing import parse
from trustplane.certificates.repair import encode, repair
from trustplane.trust.entries import TrustSet, parse_list

Change = Callable[[str], str]

CAS = many(6)
AROUND = (
    "",
    "# a comment\n",
    "Bag Attributes\n    friendlyName: corp\nsubject=/CN=x\n\n",
    block("X509 CRL", b"\x30\x00"),
)

ders = st.lists(st.sampled_from(CAS), min_size=1, max_size=4, unique=True)
lists = st.dictionaries(st.sampled_from(["corp", "zulu", "a.b", "x_1"]), ders, min_size=1)


@st.composite
def written(draw: st.DrawFn, certificates: list[bytes]) -> str:
    """Draw one of the accepted ways to write certificates as PEM."""
    repeated = [*certificates, *draw(st.lists(st.sampled_from(certificates), max_size=2))]
    text = "".join(draw(st.sampled_from(AROUND)) + _block(der, draw(st.integers(8, 200))) for der in repeated)
    text = draw(st.sampled_from(["", "\ufeff"])) + text + draw(st.sampled_from(["", "bye\n", "\n\n"]))
    label = draw(st.sampled_from(["CERTIFICATE", "X509 CERTIFICATE"]))
    text = text.replace(" CERTIFICATE-", f" {label}-").replace(
        "\n", draw(st.sampled_from(["\n", "\r\n", "  \n", "\n\n"]))
    )
    return text if draw(st.booleans()) else text.rstrip()


def _block(der: bytes, width: int) -> str:
    body = base64.b64encode(der).decode()
    lines = "".join(body[at : at + width] + "\n" for at in range(0, len(body), width))
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"


@st.composite
def wrapped(draw: st.DrawFn, text: str) -> str:
    """Draw one of the accepted ways to write base64."""
    body = base64.b64encode(text.encode()).decode()
    width, end = draw(st.integers(1, 2000)), draw(st.sampled_from(["\n", "\r\n", " ", "\n  "]))
    return end.join(body[at : at + width] for at in range(0, len(body), width)) + draw(st.sampled_from(["", "\n"]))


def trust(entries: dict[str, str]) -> TrustSet:
    reading = parse_list([TrustedCA(name=name, data=text) for name, text in entries.items()])
    assert reading.is_valid, reading.findings
    return reading.trust


@given(entries=lists, draw=st.data())
def test_every_way_to_write_a_list_gives_the_same_set(entries: dict[str, list[bytes]], draw: st.DataObject) -> None:
    plain = trust({name: data(*ders) for name, ders in entries.items()})
    other = trust({name: draw.draw(wrapped(draw.draw(written(ders)))) for name, ders in entries.items()})
    assert other == plain
    assert other.digest == plain.digest
    assert other.pem_by_name() == plain.pem_by_name()


@given(entries=lists, draw=st.data())
def test_the_order_of_entries_and_certificates_does_not_change_the_set(
    entries: dict[str, list[bytes]], draw: st.DataObject
) -> None:
    plain = trust({name: data(*ders) for name, ders in entries.items()})
    shuffled = {name: draw.draw(st.permutations(entries[name])) for name in draw.draw(st.permutations(list(entries)))}
    other = trust({name: data(*ders) for name, ders in shuffled.items()})
    assert other == plain
    assert list(other.pem_by_name()) == list(plain.pem_by_name()) == sorted(entries)


@given(certificates=ders)
def test_certificates_of_an_entry_keep_their_order(certificates: list[bytes]) -> None:
    assert [certificate.der for certificate in parse(data(*certificates)).certificates] == certificates


@given(certificates=ders, draw=st.data())
def test_canonical_data_stays_the_same(certificates: list[bytes], draw: st.DataObject) -> None:
    once = encode(parse(draw.draw(wrapped(draw.draw(written(certificates))))).certificates)
    assert once == data(*certificates)
    assert encode(parse(once).certificates) == once
    assert repair(once) == once


@given(certificates=ders, rounds=st.integers(0, 5), draw=st.data())
def test_repair_returns_the_canonical_data_of_any_encoding(
    certificates: list[bytes], rounds: int, draw: st.DataObject
) -> None:
    text = draw.draw(written(certificates))
    for _ in range(rounds):
        text = draw.draw(wrapped(text))
    assert repair(text) == data(*certificates)


def test_repair_of_der_and_of_utf_16() -> None:
    for der in CAS:
        assert repair(base64.b64encode(der).decode()) == data(der)
        assert repair(base64.b64encode(pem(der).encode("utf-16")).decode()) == data(der)


def test_different_certificates_give_different_sets() -> None:
    sets = [trust({"corp": data(*some)}) for size in (1, 2, 3) for some in itertools.combinations(CAS, size)]
    assert len(set(sets)) == len(sets)
