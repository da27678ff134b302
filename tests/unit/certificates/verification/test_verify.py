"""What a verdict tells besides yes and no. That it is Go's is shown by tests/oracle."""

import datetime as dt
from collections.abc import Callable

import pytest

from oracle import drafts
from oracle.drafts import BASIC, EKU, SAN, Draft
from oracle.encoding import dns, ip, name, sequence, time, tlv
from oracle.keyring import ODD_SCHEMES, Keyring
from trustplane.certificates.verification import Cause, Pool, Role, Verdict, verify

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
HOST = "registry.example"
KEYS = Keyring()


class Path:
    """Root, intermediate, server; `ask` verifies what they have become."""

    def __init__(self) -> None:
        keys = KEYS.usual
        self.root = drafts.ca("Root", keys[0])
        self.issuing = drafts.ca("Issuing", keys[1], self.root)
        self.server = drafts.server(keys[2], self.issuing, dns(HOST))
        self.trust = [self.root]
        self.served = [self.server, self.issuing]

    def ask(self, host: str = HOST) -> Verdict:
        made = {id(one): one.der for one in (self.root, self.issuing, self.server, *self.trust, *self.served)}
        pool = Pool.read(made[id(one)] for one in self.trust)
        return verify([made[id(one)] for one in self.served], pool, host, AT)


@pytest.fixture
def path() -> Path:
    return Path()


def test_good_chain_names_its_anchor(path: Path) -> None:
    verdict = path.ask()
    assert verdict.trusted
    assert [str(one) for one in verdict.chain] == ["CN=registry,O=Lab", "CN=Issuing,O=Lab", "CN=Root,O=Lab"]
    assert verdict.anchor == verdict.chain[-1].fingerprint
    assert verdict.cause is None
    assert not verdict.message


def test_intermediate_is_an_anchor(path: Path) -> None:
    path.trust = [path.issuing]
    verdict = path.ask()
    assert verdict.anchor == verdict.chain[1].fingerprint
    assert len(verdict.chain) == 2


def test_all_anchors_of_cross_signed_chains_are_named(path: Path) -> None:
    path.trust = [path.issuing, path.root]
    assert len(path.ask().anchors) == 2


def expired(one: Draft) -> None:
    one.not_after = time("260101000000Z")


def not_yet_valid(one: Draft) -> None:
    one.not_before = time("270101000000Z")


def not_a_ca(one: Draft) -> None:
    one.put(BASIC, drafts.basic(ca=False), critical=True)


def only_for_clients(one: Draft) -> None:
    one.put(EKU, drafts.usages(drafts.CLIENT_AUTH))


def for_other_domains(one: Draft) -> None:
    one.put(drafts.CONSTRAINTS, sequence(tlv(0xA0, sequence(dns("other.example")))), critical=True)


def with_unknown_critical_extension(one: Draft) -> None:
    one.put("1.2.3.4", b"\x05\x00", critical=True)


def without_path_length(one: Draft) -> None:
    one.put(BASIC, drafts.basic(ca=True, path_length=0), critical=True)


def sha1(one: Draft) -> None:
    one.scheme = ODD_SCHEMES[2]


def negative_serial(one: Draft) -> None:
    one.serial = -1


@pytest.mark.parametrize(
    ("member", "defect", "cause", "role"),
    [
        ("server", expired, Cause.CERTIFICATE_EXPIRED, Role.SERVER),
        ("issuing", expired, Cause.CERTIFICATE_EXPIRED, Role.INTERMEDIATE),
        ("root", expired, Cause.CERTIFICATE_EXPIRED, Role.ROOT),
        ("server", not_yet_valid, Cause.CERTIFICATE_NOT_YET_VALID, Role.SERVER),
        ("issuing", not_yet_valid, Cause.CERTIFICATE_NOT_YET_VALID, Role.INTERMEDIATE),
        ("issuing", not_a_ca, Cause.CA_NOT_A_CA, Role.INTERMEDIATE),
        ("root", not_a_ca, Cause.CA_NOT_A_CA, Role.ROOT),
        ("server", only_for_clients, Cause.WRONG_KEY_USAGE, Role.SERVER),
        ("issuing", only_for_clients, Cause.WRONG_KEY_USAGE, Role.INTERMEDIATE),
        ("root", only_for_clients, Cause.WRONG_KEY_USAGE, Role.ROOT),
        ("issuing", for_other_domains, Cause.NAME_CONSTRAINT, Role.SERVER),
        ("root", without_path_length, Cause.PATH_LENGTH, Role.ROOT),
        ("server", with_unknown_critical_extension, Cause.WEAK_CERTIFICATE, Role.SERVER),
        ("root", with_unknown_critical_extension, Cause.WEAK_CERTIFICATE, Role.ROOT),
        ("server", sha1, Cause.WEAK_CERTIFICATE, Role.SERVER),
        ("issuing", sha1, Cause.WEAK_CERTIFICATE, Role.INTERMEDIATE),
        ("server", negative_serial, Cause.WEAK_CERTIFICATE, None),
    ],
)
def test_cause_and_who_is_to_blame(
    path: Path, member: str, defect: Callable[[Draft], None], cause: Cause, role: Role | None
) -> None:
    defect(getattr(path, member))
    verdict = path.ask()
    assert not verdict.trusted
    assert (verdict.cause, verdict.role) == (cause, role)
    assert verdict.message.startswith(("x509: ", "tls: "))
    assert not verdict.anchor


def test_issuer_not_trusted(path: Path) -> None:
    path.trust = []
    verdict = path.ask()
    assert verdict.cause is Cause.ISSUER_NOT_TRUSTED
    assert verdict.message == "x509: certificate signed by unknown authority"
    assert "CN=Root,O=Lab" in verdict.stopped
    assert [str(one) for one in verdict.chain] == ["CN=registry,O=Lab", "CN=Issuing,O=Lab"]


def test_served_root_that_is_not_trusted(path: Path) -> None:
    path.trust = []
    path.served.append(path.root)
    verdict = path.ask()
    assert (verdict.cause, verdict.also_possible) == (Cause.ISSUER_NOT_TRUSTED, ())


def test_missing_intermediate_under_a_ca_of_the_same_owner(path: Path) -> None:
    path.served = [path.server]
    verdict = path.ask()
    assert verdict.cause is Cause.MISSING_INTERMEDIATE
    assert verdict.also_possible == (Cause.ISSUER_NOT_TRUSTED,)
    assert "CN=Issuing,O=Lab" in verdict.stopped


def test_self_signed_server(path: Path) -> None:
    path.server.issuer, path.server.signer = path.server.subject, path.server.key
    path.served = [path.server]
    assert path.ask().cause is Cause.SELF_SIGNED_SERVER
    path.trust = [path.server]
    assert path.ask().trusted


def test_rekeyed_ca(path: Path) -> None:
    path.trust = [drafts.ca("Root", KEYS.usual[9])]
    verdict = path.ask()
    assert (verdict.cause, verdict.role) == (Cause.CA_REKEYED, Role.ROOT)
    assert verdict.blamed is not None
    assert str(verdict.blamed) == "CN=Root,O=Lab"


def test_names(path: Path) -> None:
    assert path.ask("other.example").cause is Cause.NAME_MISMATCH
    assert path.ask("REGISTRY.example.").trusted
    assert path.ask("192.0.2.1").cause is Cause.NO_SUBJECT_ALT_NAME  # names do not count for an address
    path.server.put(SAN, sequence(dns("*.example"), ip("192.0.2.1"), ip("2001:db8::1")))
    assert path.ask().trusted
    assert path.ask("[2001:DB8::1]").trusted
    assert path.ask("192.0.2.1").trusted
    assert not path.ask("a.registry.example").trusted


def test_common_name_counts_for_nothing(path: Path) -> None:
    path.server.drop(SAN)
    path.server.subject = name((drafts.COMMON_NAME, HOST))
    verdict = path.ask()
    assert verdict.cause is Cause.NO_SUBJECT_ALT_NAME
    assert verdict.message == "x509: certificate relies on legacy Common Name field, use SANs instead"


def test_trusted_entries_that_nodes_cannot_read_are_left_out(path: Path) -> None:
    pool = Pool.read([b"garbage", path.root.der])
    assert len(pool) == 1
    assert pool.unreadable == [(0, "x509: malformed certificate")]


def test_nothing_served() -> None:
    assert verify([], Pool(), HOST, AT).cause is Cause.UNKNOWN


def test_control_characters_of_names_do_not_reach_a_terminal(path: Path) -> None:
    path.issuing.issuer = name((drafts.COMMON_NAME, "\x1b[31mred"))
    path.trust = []
    assert "\x1b" not in path.ask().stopped
