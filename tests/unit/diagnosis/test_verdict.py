"""The laboratory's scenarios, whose truth is known by construction, and what must hold for any evidence."""

import dataclasses
import datetime as dt
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laboratory import table
from laboratory.material import HARBOR, PKI, case, disk, head, host, node, other, own, pulling, service, tls
from laboratory.table import Scenario
from trustplane.diagnosis.cause import Actor, Code, Confidence
from trustplane.diagnosis.evidence import Case, Host, PullSecret, SecretState, Vantage
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.verdict import Diagnosis, diagnose, endpoints

SCENARIOS = table.scenarios()
# What the evidence of these leaves open, by construction: the truth comes first, or beside another one.
OPEN = {
    "CA that nobody has",  # or a second intermediate that is not sent
    "second intermediate not sent",
    "intermediate not sent",
    "node not looked at",
    "403 without a login",
    "cluster named by its kubeconfig",  # what its nodes are meant to trust is not known
    "Harbor: no member of the project",  # Harbor hides what is not there in the same words
    "Docker Hub: wrong name",
    "mirror not trusted, the origin answers",  # it may well not have the image
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_the_truth_is_the_answer(scenario: Scenario) -> None:
    outcome = table.by_evidence(scenario)
    if scenario.name in OPEN:
        assert outcome.fits
        assert diagnose(scenario.case).exit_code == 1
    else:
        assert outcome.codes == (scenario.truth,)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_nothing_wrong_is_claimed_for_certain(scenario: Scenario) -> None:
    assert not table.by_evidence(scenario).wrong_for_certain


def test_names_are_unique_and_many() -> None:
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS) >= 60


def _certain(found: Diagnosis) -> set[Code]:
    return {one.code for one in found.causes if one.confidence is Confidence.HIGH}


LOSABLE = (
    "disk",
    "node",
    "service",
    "others",
    "secrets",
    "desired",
    "in_force",
    "hosts",
    "issuers",
    "public_cas",
    "failed_at",
    "since",
    "challenge",
    "anonymous",
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SCENARIOS), st.sets(st.sampled_from(LOSABLE)))
def test_less_evidence_never_makes_another_cause_certain(scenario: Scenario, lost: set[str]) -> None:
    without = {one.name: one.default for one in dataclasses.fields(Case) if one.name in lost}
    found = diagnose(dataclasses.replace(scenario.case, **without))
    by_words = {code for code, confidence in table.by_text(scenario).answer if confidence == Confidence.HIGH}
    assert _certain(found) <= {scenario.truth, *by_words}


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.sampled_from([one.case for one in SCENARIOS]))
def test_any_words_get_an_answer(words: str, known: Case) -> None:
    found = diagnose(dataclasses.replace(known, messages=(words,)))
    assert found.causes
    assert all(one.next_step for one in found.causes)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_the_next_step_names_this_failure(scenario: Scenario) -> None:
    for cause in diagnose(scenario.case).causes:
        assert "{" not in cause.next_step
        assert "NAMESPACE" not in cause.next_step
        assert " CLUSTER" not in cause.next_step or not scenario.case.cluster


def sha256(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


class TestAuthority:
    pki = PKI()
    root, foreign = pki.ders(pki.root)[0], PKI(6).ders(PKI(6).root)[0]

    def ask(self, *served: bytes, **known: object) -> Diagnosis:
        force = {"desired": own(self.foreign), "in_force": own(self.foreign)}
        return diagnose(case(tls(), hosts=(host(*(served or self.pki.ders())),), **{**force, **known}))

    def test_in_the_services_list(self) -> None:
        found = self.ask(service=service(self.root))
        assert found.authority is not None
        assert (found.authority.fingerprint, found.authority.where) == (sha256(self.root), "the service's list")
        assert "trust-merge=Append" in found.causes[0].next_step

    def test_in_another_clusters_set(self) -> None:
        found = self.ask(others=(other(self.root),))
        assert found.authority is not None
        assert found.authority.where == "the set of cluster team/other"
        assert "add entry ca-0 from the set of cluster team/other" in found.causes[0].next_step

    def test_in_the_served_chain(self) -> None:
        found = self.ask(*self.pki.ders(), self.root)
        assert found.authority is not None
        assert found.authority.fingerprint == sha256(self.root)
        assert "trustplane fetch-ca harbor.corp:8443" in found.causes[0].next_step

    def test_unknown(self) -> None:
        found = self.ask(*self.pki.ders(self.pki.server))
        assert found.authority is not None
        assert (found.authority.fingerprint, found.authority.subject) == ("", "CN=Issuing 0,O=Lab")
        steps = {one.code: one.next_step for one in found.causes}
        assert "ask the registry's owner for the certificate of CN=Issuing 0" in steps[Code.ISSUER_NOT_TRUSTED]

    def test_that_of_another_name_does_not_count(self) -> None:
        found = self.ask(*self.pki.ders(self.pki.server), service=service(self.foreign))
        assert found.authority is not None
        assert found.authority.fingerprint == ""


def test_the_host_that_failed_is_the_one_to_fetch_from() -> None:
    [scenario] = [one for one in SCENARIOS if one.name == "wrong CA on the blob store"]
    assert "trustplane fetch-ca blobs.corp " in diagnose(scenario.case).causes[0].next_step


class TestNode:
    pki = PKI()
    root = pki.ders(pki.root)[0]

    def ask(self, words: str = tls(), **known: object) -> Diagnosis:
        force = {"desired": own(self.root), "in_force": own(self.root), "hosts": (host(*self.pki.ders()),)}
        return diagnose(case(words, **{**force, **known}))

    def test_all_right_now_is_not_certain(self) -> None:
        found = self.ask(disk=disk(self.root))
        assert [one.code for one in found.causes] == [Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE]
        assert found.exit_code == 1
        assert "is trusted now" in found.causes[0].reason

    def test_a_proof_after_the_failure_says_that_it_is_over(self) -> None:
        known = case(tls())
        found = self.ask(node=node(trusts=known.now))
        assert "is trusted now" in found.causes[0].reason

    def test_what_the_node_is_served_counts_more_than_what_we_are(self) -> None:
        proxy = PKI(6, label="Web Proxy CA")
        seen = host(*proxy.ders(), proxy.ders(proxy.root)[0], vantage=Vantage.NODE)
        found = self.ask(hosts=(host(*self.pki.ders()), seen), disk=disk(self.root))
        assert found.host == seen
        assert "NO_PROXY" in found.causes[0].next_step
        assert found.authority is not None
        assert found.authority.subject == "CN=Web Proxy CA,O=Lab"

    def test_words_and_chain_that_differ_are_both_told(self) -> None:
        found = self.ask(
            tls("x509: certificate is valid for other.corp, not harbor.corp"),
            desired=own(),
            in_force=own(),
            hosts=(host(*self.pki.ders(), self.root),),
        )
        assert [one.code for one in found.causes] == [Code.NAME_MISMATCH, Code.ISSUER_NOT_TRUSTED]
        assert found.exit_code == 1

    def test_drift_is_repaired_by_the_policy(self) -> None:
        foreign = PKI(6)
        found = self.ask(disk=disk(*foreign.ders(foreign.root)), node=node(drift="edited by somebody: tkg-ca-0.pem"))
        assert "edited by somebody" in found.causes[0].reason
        assert "kubectl annotate tkc shop -n team trustplane.dev/propagation=Automatic" in found.causes[0].next_step

    def test_a_node_that_has_taken_the_set_is_repaired_and_another_updated(self) -> None:
        foreign = PKI(6)
        for is_current, step in ((True, "&& trustplane prove shop -n team"), (False, "trustplane update shop -n team")):
            found = self.ask(disk=disk(*foreign.ders(foreign.root)), node=node(is_current=is_current))
            assert found.causes[0].code is Code.TRUST_NOT_APPLIED
            assert step in found.causes[0].next_step

    def test_clock_is_not_the_registrys_fault(self) -> None:
        words = "x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before"
        known = disk(self.root, clock=dt.timedelta(days=-2500))
        found = self.ask(tls(f"{words} 2025-01-01T00:00:00Z"), disk=known, node=node())
        assert found.causes[0].actor is Actor.CLUSTER_OWNER
        assert found.causes[0].next_step.startswith("on node worker-0: timedatectl")

    def test_next_step_names_the_node(self) -> None:
        found = self.ask(disk=disk(self.root, stale=True), node=node())
        assert "on node worker-0: systemctl restart containerd" in found.causes[0].next_step
        assert "trustplane prove shop" in found.causes[0].next_step


def test_a_login_that_is_refused_is_named() -> None:
    secrets = (
        PullSecret("late", SecretState.USABLE, named_by="ServiceAccount default"),
        PullSecret("corp", SecretState.USABLE),
    )
    words = f"unexpected status from HEAD request to https://{HARBOR}/v2/team/app/manifests/1: 401 Unauthorized"
    found = diagnose(case(pulling(f"failed to resolve image: {words}"), secrets=secrets, challenge="basic"))
    assert _certain(found) == {Code.AUTH_REJECTED}
    assert "kubectl delete secret corp -n " in found.causes[0].next_step


@pytest.mark.parametrize("words", ["write tcp 10.0.0.1:5->10.0.0.2:8443: write: broken pipe", "EOF"])
def test_a_connection_that_was_cut_is_explained_by_what_is_seen_now(words: str) -> None:
    wanting = host(failure="client-certificate-required")
    assert _certain(diagnose(case(head(words), hosts=(wanting,)))) == {Code.CLIENT_CERTIFICATE_REQUIRED}
    assert _certain(diagnose(case(head(words), hosts=(host(),)))) == {Code.CONNECTION_CLOSED}
    other_words = head("dial tcp 10.0.0.2:8443: connect: connection refused")
    assert _certain(diagnose(case(other_words, hosts=(wanting,)))) == {Code.CONNECTION_REFUSED}


class TestThroughAProxy:
    """The node asks through a proxy, which opens TLS with a CA of its own; we are served the registry's chain."""

    ours, theirs = PKI(), PKI(label="Web Proxy CA")
    proxies = dataclasses.replace(disk(*ours.ders(ours.root)), proxies={HARBOR: "http://proxy.corp:3128"})

    def ask(self, *hosts: Host) -> Diagnosis:
        (root,) = self.ours.ders(self.ours.root)
        trusted = own(root)
        return diagnose(case(tls(), hosts=hosts, disk=self.proxies, node=node(), desired=trusted, in_force=trusted))

    def test_what_the_node_is_served_decides_and_the_proxy_is_named(self) -> None:
        served = host(
            *self.theirs.ders(self.theirs.server, self.theirs.issuing, self.theirs.root), vantage=Vantage.NODE
        )
        there = dataclasses.replace(served, proxy="http://proxy.corp:3128")
        found = self.ask(host(*self.ours.ders()), there)
        assert _certain(found) == {Code.ISSUER_NOT_TRUSTED}
        assert "the proxy http://proxy.corp:3128 intercepts TLS to" in found.causes[0].next_step
        assert "through its proxy http://proxy.corp:3128" in found.causes[0].reason

    def test_what_is_served_here_proves_nothing(self) -> None:
        found = self.ask(host(*self.ours.ders()))
        assert not _certain(found)
        assert {Code.ISSUER_NOT_TRUSTED, Code.TRUST_NOT_APPLIED} <= {one.code for one in found.causes}


class TestRegistryAlone:
    pki = PKI()
    root = pki.ders(pki.root)[0]

    def ask(self, seen: Host, **known: object) -> Diagnosis:
        return diagnose(case(image="", registry="harbor.corp:8443", hosts=(seen,), **known))

    def test_trusted(self) -> None:
        found = self.ask(host(*self.pki.ders()), desired=own(self.root), in_force=own(self.root))
        assert (found.causes, found.exit_code) == ((), 0)

    def test_not_trusted(self) -> None:
        found = self.ask(host(*self.pki.ders(), self.root), desired=own(), in_force=own())
        assert [one.code for one in found.causes] == [Code.ISSUER_NOT_TRUSTED]
        assert found.exit_code == 0

    def test_no_answer(self) -> None:
        found = self.ask(host(failure="connection-refused"), desired=own(self.root), in_force=own(self.root))
        assert [one.code for one in found.causes] == [Code.CONNECTION_REFUSED]

    def test_not_seen_at_all(self) -> None:
        found = diagnose(case(image="", registry="harbor.corp:8443"))
        assert (found.causes[0].code, found.exit_code) == (Code.UNKNOWN, 2)


def test_endpoints_are_those_of_the_words_and_the_registry() -> None:
    mirror = head("EOF", "mirror.corp:5000", "/v2/team/app/manifests/1?ns=harbor.corp%3A8443")
    assert endpoints([mirror, tls()], "harbor.corp:8443/team/app:1") == [
        (Role.MIRROR, "mirror.corp:5000"),
        (Role.REGISTRY, "harbor.corp:8443"),
    ]
