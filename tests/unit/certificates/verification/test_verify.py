"""Causes and anchors in verdicts. `tests/oracle` shows that verdicts agree with Go."""

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
    """Drafts of a root, an intermediate and a server certificate; `verify` signs and verifies them."""

    def __init__(self) -> None:
        keys = KEYS.usual
        self.root = drafts.ca("Root", keys[0])
        self.issuing = drafts.ca("Issuing", keys[1], self.root)
        self.server = drafts.server(keys[2], self.issuing, dns(HOST))
        self.trust = [self.root]
        self.served = [self.server, self.issuing]

    def verify(self, host: str = HOST) -> Verdict:
        drafts_ = (self.root, self.issuing, self.server, *self.trust, *self.served)
        signed = {id(draft): draft.der for draft in drafts_}
        pool = Pool.read(signed[id(draft)] for draft in self.trust)
        return verify([signed[id(draft)] for draft in self.served], pool, host, AT)


@pytest.fixture
def path() -> Path:
    return Path()


def test_good_chain_names_its_anchor(path: Path) -> None:
    verdict = path.verify()
    assert verdict.trusted
    assert [str(certificate) for certificate in verdict.chain] == [
        "CN=registry,O=Lab",
        "CN=Issuing,O=Lab",
        "CN=Root,O=Lab",
    ]
    assert verdict.anchor == verdict.chain[-1].fingerprint
    assert verdict.cause is None
    assert not verdict.message


def test_an_intermediate_can_be_the_anchor(path: Path) -> None:
    path.trust = [path.issuing]
    verdict = path.verify()
    assert verdict.anchor == verdict.chain[1].fingerprint
    assert len(verdict.chain) == 2


def test_all_anchors_of_cross_signed_chains_are_returned(path: Path) -> None:
    path.trust = [path.issuing, path.root]
    assert len(path.verify().anchors) == 2


def expired(draft: Draft) -> None:
    draft.not_after = time("260101000000Z")


def not_yet_valid(draft: Draft) -> None:
    draft.not_before = time("270101000000Z")


def not_a_ca(draft: Draft) -> None:
    draft.put(BASIC, drafts.basic(ca=False), critical=True)


def only_for_clients(draft: Draft) -> None:
    draft.put(EKU, drafts.usages(drafts.CLIENT_AUTH))


def for_other_domains(draft: Draft) -> None:
    draft.put(drafts.CONSTRAINTS, sequence(tlv(0xA0, sequence(dns("other.example")))), critical=True)


def with_unknown_critical_extension(draft: Draft) -> None:
    draft.put("1.2.3.4", b"\x05\x00", critical=True)


def without_path_length(draft: Draft) -> None:
    draft.put(BASIC, drafts.basic(ca=True, path_length=0), critical=True)


def sha1(draft: Draft) -> None:
    draft.scheme = ODD_SCHEMES[2]


def negative_serial(draft: Draft) -> None:
    draft.serial = -1


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
def test_a_defect_has_its_cause_and_role(
    path: Path, member: str, defect: Callable[[Draft], None], cause: Cause, role: Role | None
) -> None:
    defect(getattr(path, member))
    verdict = path.verify()
    assert not verdict.trusted
    assert (verdict.cause, verdict.role) == (cause, role)
    assert verdict.message.startswith(("x509: ", "tls: "))
    assert not verdict.anchor


def test_an_untrusted_issuer(path: Path) -> None:
    path.trust = []
    verdict = path.verify()
    assert verdict.cause is Cause.ISSUER_NOT_TRUSTED
    assert verdict.message == "x509: certificate signed by unknown authority"
    assert "CN=Root,O=Lab" in verdict.stopped
    assert [str(certificate) for certificate in verdict.chain] == ["CN=registry,O=Lab", "CN=Issuing,O=Lab"]


def test_an_untrusted_root_that_is_served(path: Path) -> None:
    path.trust = []
    path.served.append(path.root)
    verdict = path.verify()
    assert (verdict.cause, verdict.also_possible) == (Cause.ISSUER_NOT_TRUSTED, ())


def test_a_missing_intermediate_of_an_owner_with_a_trusted_ca(path: Path) -> None:
    path.served = [path.server]
    verdict = path.verify()
    assert verdict.cause is Cause.MISSING_INTERMEDIATE
    assert verdict.also_possible == (Cause.ISSUER_NOT_TRUSTED,)
    assert "CN=Issuing,O=Lab" in verdict.stopped


def test_a_self_signed_server(path: Path) -> None:
    path.server.issuer, path.server.signer = path.server.subject, path.server.key
    path.served = [path.server]
    assert path.verify().cause is Cause.SELF_SIGNED_SERVER
    path.trust = [path.server]
    assert path.verify().trusted


def test_a_rekeyed_ca(path: Path) -> None:
    path.trust = [drafts.ca("Root", KEYS.usual[9])]
    verdict = path.verify()
    assert (verdict.cause, verdict.role) == (Cause.CA_REKEYED, Role.ROOT)
    assert verdict.blamed is not None
    assert str(verdict.blamed) == "CN=Root,O=Lab"


def test_hosts_match_names_as_go_matches_them(path: Path) -> None:
    assert path.verify("other.example").cause is Cause.NAME_MISMATCH
    assert path.verify("REGISTRY.example.").trusted
    assert path.verify("192.0.2.1").cause is Cause.NO_SUBJECT_ALT_NAME  # DNS names do not count for an address
    path.server.put(SAN, sequence(dns("*.example"), ip("192.0.2.1"), ip("2001:db8::1")))
    assert path.verify().trusted
    assert path.verify("[2001:DB8::1]").trusted
    assert path.verify("192.0.2.1").trusted
    assert not path.verify("a.registry.example").trusted


def test_the_common_name_does_not_count(path: Path) -> None:
    path.server.drop(SAN)
    path.server.subject = name((drafts.COMMON_NAME, HOST))
    verdict = path.verify()
    assert verdict.cause is Cause.NO_SUBJECT_ALT_NAME
    assert verdict.message == "x509: certificate relies on legacy Common Name field, use SANs instead"


def test_a_pool_leaves_out_certificates_that_go_cannot_parse(path: Path) -> None:
    pool = Pool.read([b"garbage", path.root.der])
    assert len(pool) == 1
    assert pool.unreadable == [(0, "x509: malformed certificate")]


def test_an_empty_chain_is_refused() -> None:
    assert verify([], Pool(), HOST, AT).cause is Cause.UNKNOWN


def test_control_characters_of_names_do_not_reach_a_terminal(path: Path) -> None:
    path.issuing.issuer = name((drafts.COMMON_NAME, "\x1b[31mred"))
    path.trust = []
    assert "\x1b" not in path.verify().stopped
