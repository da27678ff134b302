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
from trustplane.reporting.risks import NOTICE, Kind, condition, risks, unknown

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
YEAR, DAY = timedelta(days=365), timedelta(days=1)
HOST = "harbor.corp:5000"
LEAF, INTERMEDIATE, ROOT = "1" * 64, "2" * 64, "3" * 64


def trust(
    *images: tuple[str, str], entries: dict[str, datetime] | None = None, name: str = "web", source: str = SERVICE
) -> ClusterTrust:
    found = [ImageSource(host=host, image=f"{host}/app:1", trust=one, message="refused") for host, one in images]
    listed = [
        TrustEntry(name=f"entry-{one[:1]}", fingerprints=[one], expires=at) for one, at in (entries or {}).items()
    ]
    status = ClusterTrustStatus(images=found, desired=DesiredTrust(entries=listed, source=source))
    return ClusterTrust(metadata=Metadata(namespace="shop", name=name), status=status)


def registry(*ends: timedelta, anchor: str = "", anchor_ends: timedelta = YEAR) -> Registry:
    prints = (LEAF, INTERMEDIATE)
    chain = [
        ServedCertificate(subject=f"CN={n}", issuer="CN=ca", fingerprint=prints[n], not_after=NOW + one)
        for n, one in enumerate(ends)
    ]
    found = Anchor(name="corp", fingerprint=anchor, not_after=NOW + anchor_ends) if anchor else None
    status = RegistryStatus(chain=chain, anchor=found)
    return Registry(metadata=Metadata(name="harbor"), spec=RegistrySpec(host=HOST), status=status)


def kinds(*trusts: ClusterTrust, of: Registry | None = None, now: datetime = NOW) -> list[tuple[Kind, str]]:
    return [(one.kind, one.subject) for one in risks(trusts, [of] if of else [], now)]


def test_nothing_is_at_risk_where_all_is_trusted_and_lasts() -> None:
    one = registry(YEAR, YEAR, anchor=ROOT)
    assert kinds(trust((HOST, TRUSTED), ("docker.io", "Public"), entries={ROOT: NOW + YEAR}), of=one) == []
    assert condition(one, [trust((HOST, TRUSTED))], NOW).status == "False"


def test_images_that_the_next_node_cannot_pull() -> None:
    one = trust((HOST, NOT_TRUSTED), ("a.corp", UNKNOWN))
    [risk] = risks([one], [], NOW)
    assert (risk.kind, risk.subject, risk.host) == (Kind.NOT_TRUSTED, "cluster shop/web", HOST)
    assert f"{HOST}/app:1" in risk.message
    assert HOST in risk.next_step
    assert [(name, image.host) for name, image in unknown([one])] == [("shop/web", "a.corp")]


def test_certificates_are_told_of_thirty_days_before_they_end() -> None:
    assert kinds(of=registry(NOTICE + DAY, YEAR)) == []
    assert kinds(of=registry(NOTICE, YEAR)) == [(Kind.EXPIRES, "registry harbor")]
    [leaf, sent] = risks([], [registry(DAY, -DAY)], NOW)[::-1]
    assert "its certificate, CN=0 (1111111111), expires on 2026-01-03" in leaf.message
    assert "a certificate that it sends, CN=1 (2222222222), has expired on 2026-01-01" in sent.message
    assert kinds(of=registry(YEAR, anchor=ROOT, anchor_ends=DAY)) == [(Kind.CA_EXPIRES, "registry harbor")]


def test_an_entry_that_ends_is_told_of_once_for_all_clusters_that_take_the_service_s_list() -> None:
    ends = {ROOT: NOW + DAY}
    trusts = [trust(entries=ends, name=name) for name in "abc"]
    assert kinds(*trusts) == [(Kind.CA_EXPIRES, "the service's list")]
    assert kinds(trust(entries=ends, source=CLUSTER)) == [(Kind.CA_EXPIRES, "cluster shop/web")]


def test_a_server_s_certificate_in_place_of_its_ca_breaks_at_its_renewal() -> None:
    one = registry(YEAR, YEAR, anchor=LEAF)
    [risk] = risks([trust(entries={LEAF: NOW + YEAR})], [one], NOW)
    assert (risk.kind, risk.host, risk.at) == (Kind.LEAF_TRUSTED, HOST, NOW + YEAR)
    assert "CN=ca" in risk.next_step
    for ca, anchored in (
        (INTERMEDIATE, registry(YEAR, YEAR, anchor=INTERMEDIATE)),
        (ROOT, registry(YEAR, anchor=ROOT)),
    ):
        assert kinds(trust(entries={LEAF: NOW + YEAR, ca: NOW + YEAR}), of=anchored) == []


def test_the_condition_of_a_registry_names_the_worst() -> None:
    one = registry(DAY, YEAR)
    found = condition(one, [trust((HOST, NOT_TRUSTED)), trust(("other.corp", NOT_TRUSTED), name="x")], NOW)
    assert (found.status, found.reason) == ("True", "NotTrusted")
    assert "cluster shop/web" in found.message
    assert "expires on" in found.message
    assert "other.corp" not in found.message
    assert condition(registry(), [], NOW).status == "Unknown"


@given(
    st.lists(st.tuples(st.sampled_from([HOST, "a.corp"]), st.sampled_from(ASSESSMENTS)), max_size=5),
    st.lists(st.integers(-60, 60).map(timedelta), max_size=2),
    st.sampled_from(["", LEAF, INTERMEDIATE, ROOT]),
)
def test_risks_are_told_once_and_stay_until_they_are_mended(
    images: list[tuple[str, str]], ends: list[timedelta], anchor: str
) -> None:
    one, cluster = registry(*ends, anchor=anchor), trust(*images, entries={LEAF: NOW + YEAR})
    found = risks([cluster], [one], NOW)
    assert len(set(found)) == len(found)
    assert [one.kind for one in found] == sorted((one.kind for one in found), key=list(Kind).index)
    later = risks([cluster], [one], NOW + 10 * DAY)
    assert {(one.kind, one.subject, one.host) for one in found} <= {(one.kind, one.subject, one.host) for one in later}
