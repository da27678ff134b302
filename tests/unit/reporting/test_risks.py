from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    ASSESSMENTS,
    CLUSTER,
    NOT_TRUSTED,
    SERVICE,
    TRUSTED,
    UNKNOWN,
    ClusterTrust,
    ClusterTrustStatus,
    DesiredTrust,
    ImageSource,
    TrustEntry,
)
from trustplane.api.meta import Metadata
from trustplane.api.registry import Anchor, Registry, RegistrySpec, RegistryStatus, ServedCertificate
from trustplane.reporting.risks import EXPIRY_NOTICE, RiskKind, at_risk_condition, list_risks, unknown_sources

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
YEAR, DAY = timedelta(days=365), timedelta(days=1)
HOST = "harbor.corp:5000"
LEAF, INTERMEDIATE, ROOT = "1" * 64, "2" * 64, "3" * 64


def trust(
    *images: tuple[str, str], entries: dict[str, datetime] | None = None, name: str = "web", source: str = SERVICE
) -> ClusterTrust:
    sources = [
        ImageSource(host=host, image=f"{host}/app:1", trust=assessment, message="refused")
        for host, assessment in images
    ]
    listed = [
        TrustEntry(name=f"entry-{digest[:1]}", fingerprints=[digest], expires=at)
        for digest, at in (entries or {}).items()
    ]
    status = ClusterTrustStatus(images=sources, desired=DesiredTrust(entries=listed, source=source))
    return ClusterTrust(metadata=Metadata(namespace="shop", name=name), status=status)


def registry(*ends: timedelta, anchor: str = "", anchor_ends: timedelta = YEAR) -> Registry:
    prints = (LEAF, INTERMEDIATE)
    chain = [
        ServedCertificate(subject=f"CN={n}", issuer="CN=ca", fingerprint=prints[n], not_after=NOW + end)
        for n, end in enumerate(ends)
    ]
    trust_anchor = Anchor(name="corp", fingerprint=anchor, not_after=NOW + anchor_ends) if anchor else None
    status = RegistryStatus(chain=chain, anchor=trust_anchor)
    return Registry(metadata=Metadata(name="harbor"), spec=RegistrySpec(host=HOST), status=status)


def kinds(*trusts: ClusterTrust, of: Registry | None = None, now: datetime = NOW) -> list[tuple[RiskKind, str]]:
    return [(risk.kind, risk.subject) for risk in list_risks(trusts, [of] if of else [], now)]


def test_no_risk_with_trusted_registries_and_valid_certificates() -> None:
    harbor = registry(YEAR, YEAR, anchor=ROOT)
    assert kinds(trust((HOST, TRUSTED), ("docker.io", "Public"), entries={ROOT: NOW + YEAR}), of=harbor) == []
    assert at_risk_condition(harbor, [trust((HOST, TRUSTED))], NOW).status == "False"


def test_images_of_an_untrusted_registry() -> None:
    cluster = trust((HOST, NOT_TRUSTED), ("a.corp", UNKNOWN))
    [risk] = list_risks([cluster], [], NOW)
    assert (risk.kind, risk.subject, risk.host) == (RiskKind.NOT_TRUSTED, "cluster shop/web", HOST)
    assert f"{HOST}/app:1" in risk.message
    assert HOST in risk.next_step
    assert [(name, image.host) for name, image in unknown_sources([cluster])] == [("shop/web", "a.corp")]


def test_certificates_are_reported_thirty_days_before_they_expire() -> None:
    assert kinds(of=registry(EXPIRY_NOTICE + DAY, YEAR)) == []
    assert kinds(of=registry(EXPIRY_NOTICE, YEAR)) == [(RiskKind.EXPIRES, "registry harbor")]
    [leaf, sent] = list_risks([], [registry(DAY, -DAY)], NOW)[::-1]
    assert "its certificate, CN=0 (1111111111), expires on 2026-01-03" in leaf.message
    assert "a certificate of its chain, CN=1 (2222222222), has expired on 2026-01-01" in sent.message
    assert kinds(of=registry(YEAR, anchor=ROOT, anchor_ends=DAY)) == [(RiskKind.CA_EXPIRES, "registry harbor")]


def test_an_expiring_entry_of_the_service_list_is_reported_once() -> None:
    ends = {ROOT: NOW + DAY}
    trusts = [trust(entries=ends, name=name) for name in "abc"]
    assert kinds(*trusts) == [(RiskKind.CA_EXPIRES, "the service's list")]
    assert kinds(trust(entries=ends, source=CLUSTER)) == [(RiskKind.CA_EXPIRES, "cluster shop/web")]


def test_a_server_certificate_in_place_of_its_ca_is_a_risk() -> None:
    harbor = registry(YEAR, YEAR, anchor=LEAF)
    [risk] = list_risks([trust(entries={LEAF: NOW + YEAR})], [harbor], NOW)
    assert (risk.kind, risk.host, risk.at) == (RiskKind.LEAF_TRUSTED, HOST, NOW + YEAR)
    assert "CN=ca" in risk.next_step
    for ca, anchored in (
        (INTERMEDIATE, registry(YEAR, YEAR, anchor=INTERMEDIATE)),
        (ROOT, registry(YEAR, anchor=ROOT)),
    ):
        assert kinds(trust(entries={LEAF: NOW + YEAR, ca: NOW + YEAR}), of=anchored) == []


def test_the_condition_of_a_registry_names_the_worst_risk() -> None:
    harbor = registry(DAY, YEAR)
    current = at_risk_condition(harbor, [trust((HOST, NOT_TRUSTED)), trust(("other.corp", NOT_TRUSTED), name="x")], NOW)
    assert (current.status, current.reason) == ("True", "NotTrusted")
    assert "cluster shop/web" in current.message
    assert "expires on" in current.message
    assert "other.corp" not in current.message
    assert at_risk_condition(registry(), [], NOW).status == "Unknown"


@given(
    st.lists(st.tuples(st.sampled_from([HOST, "a.corp"]), st.sampled_from(ASSESSMENTS)), max_size=5),
    st.lists(st.integers(-60, 60).map(timedelta), max_size=2),
    st.sampled_from(["", LEAF, INTERMEDIATE, ROOT]),
)
def test_risks_are_reported_once_and_stay(images: list[tuple[str, str]], ends: list[timedelta], anchor: str) -> None:
    harbor, cluster = registry(*ends, anchor=anchor), trust(*images, entries={LEAF: NOW + YEAR})
    current = list_risks([cluster], [harbor], NOW)
    assert len(set(current)) == len(current)
    assert [risk.kind for risk in current] == sorted((risk.kind for risk in current), key=list(RiskKind).index)
    later = list_risks([cluster], [harbor], NOW + 10 * DAY)
    assert {(risk.kind, risk.subject, risk.host) for risk in current} <= {
        (risk.kind, risk.subject, risk.host) for risk in later
    }
