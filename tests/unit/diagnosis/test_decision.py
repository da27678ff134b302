"""The laboratory's scenarios, with causes known by construction, and properties for any evidence."""

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
from trustplane.diagnosis.decision import Diagnosis, diagnose, endpoints
from trustplane.diagnosis.evidence import Case, Host, ObservedFrom, PullSecret, SecretState
from trustplane.diagnosis.layer import Role

SCENARIOS = table.scenarios()
# By construction, the evidence of these leaves the cause open: the true cause comes first, or beside another one.
OPEN = {
    "CA that nobody has",  # or a second intermediate is not sent
    "second intermediate not sent",
    "intermediate not sent",
    "node not looked at",
    "403 without a login",
    "cluster named by its kubeconfig",  # the desired set of its nodes is unknown
    "Harbor: no member of the project",  # Harbor gives the same answer for a missing project
    "Docker Hub: wrong name",
    "mirror not trusted, the origin answers",  # the origin may really not have the image
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_true_cause_is_the_answer(scenario: Scenario) -> None:
    outcome = table.by_evidence(scenario)
    if scenario.name in OPEN:
        assert outcome.fits
        assert diagnose(scenario.case).exit_code == 1
    else:
        assert outcome.codes == (scenario.truth,)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_wrong_cause_is_certain(scenario: Scenario) -> None:
    assert not table.by_evidence(scenario).wrong_for_certain


def test_names_are_unique_and_many() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 60


def _certain(diagnosis: Diagnosis) -> set[Code]:
    return {cause.code for cause in diagnosis.causes if cause.confidence is Confidence.HIGH}


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
    without = {field.name: field.default for field in dataclasses.fields(Case) if field.name in lost}
    diagnosis = diagnose(dataclasses.replace(scenario.case, **without))
    by_message = {code for code, confidence in table.by_text(scenario).answer if confidence == Confidence.HIGH}
    assert _certain(diagnosis) <= {scenario.truth, *by_message}


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.sampled_from([scenario.case for scenario in SCENARIOS]))
def test_any_message_gets_an_answer(message: str, known: Case) -> None:
    diagnosis = diagnose(dataclasses.replace(known, messages=(message,)))
    assert diagnosis.causes
    assert all(cause.next_step for cause in diagnosis.causes)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
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
        diagnosis = self.ask(service=service(self.root))
        assert diagnosis.authority is not None
        assert (diagnosis.authority.fingerprint, diagnosis.authority.source) == (
            sha256(self.root),
            "the service's list",
        )
        assert "trust-merge=Append" in diagnosis.causes[0].next_step

    def test_in_another_clusters_set(self) -> None:
        diagnosis = self.ask(others=(other(self.root),))
        assert diagnosis.authority is not None
        assert diagnosis.authority.source == "the set of cluster team/other"
        assert "add entry ca-0 from the set of cluster team/other" in diagnosis.causes[0].next_step

    def test_in_the_served_chain(self) -> None:
        diagnosis = self.ask(*self.pki.ders(), self.root)
        assert diagnosis.authority is not None
        assert diagnosis.authority.fingerprint == sha256(self.root)
        assert "trustplane fetch-ca harbor.corp:8443" in diagnosis.causes[0].next_step

    def test_unknown(self) -> None:
        diagnosis = self.ask(*self.pki.ders(self.pki.server))
        assert diagnosis.authority is not None
        assert (diagnosis.authority.fingerprint, diagnosis.authority.subject) == ("", "CN=Issuing 0,O=Lab")
        steps = {cause.code: cause.next_step for cause in diagnosis.causes}
        assert "ask the registry's owner for the certificate of CN=Issuing 0" in steps[Code.ISSUER_NOT_TRUSTED]

    def test_a_ca_with_another_name_does_not_count(self) -> None:
        diagnosis = self.ask(*self.pki.ders(self.pki.server), service=service(self.foreign))
        assert diagnosis.authority is not None
        assert diagnosis.authority.fingerprint == ""


def test_the_next_step_fetches_from_the_failed_host() -> None:
    [scenario] = [each for each in SCENARIOS if each.name == "wrong CA on the blob store"]
    assert "trustplane fetch-ca blobs.corp " in diagnose(scenario.case).causes[0].next_step


class TestNode:
    pki = PKI()
    root = pki.ders(pki.root)[0]

    def ask(self, error: str = tls(), **known: object) -> Diagnosis:
        force = {"desired": own(self.root), "in_force": own(self.root), "hosts": (host(*self.pki.ders()),)}
        return diagnose(case(error, **{**force, **known}))

    def test_a_chain_trusted_now_leaves_the_cause_uncertain(self) -> None:
        diagnosis = self.ask(disk=disk(self.root))
        assert [cause.code for cause in diagnosis.causes] == [Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE]
        assert diagnosis.exit_code == 1
        assert "is trusted now" in diagnosis.causes[0].reason

    def test_a_proof_after_the_failure_ends_it(self) -> None:
        known = case(tls())
        diagnosis = self.ask(node=node(proven_at=known.now))
        assert "is trusted now" in diagnosis.causes[0].reason

    def test_the_chain_that_the_node_receives_takes_precedence(self) -> None:
        proxy = PKI(6, label="Web Proxy CA")
        seen = host(*proxy.ders(), proxy.ders(proxy.root)[0], observed_from=ObservedFrom.NODE)
        diagnosis = self.ask(hosts=(host(*self.pki.ders()), seen), disk=disk(self.root))
        assert diagnosis.host == seen
        assert "NO_PROXY" in diagnosis.causes[0].next_step
        assert diagnosis.authority is not None
        assert diagnosis.authority.subject == "CN=Web Proxy CA,O=Lab"

    def test_a_message_and_a_chain_that_disagree_are_both_reported(self) -> None:
        diagnosis = self.ask(
            tls("x509: certificate is valid for other.corp, not harbor.corp"),
            desired=own(),
            in_force=own(),
            hosts=(host(*self.pki.ders(), self.root),),
        )
        assert [cause.code for cause in diagnosis.causes] == [Code.NAME_MISMATCH, Code.ISSUER_NOT_TRUSTED]
        assert diagnosis.exit_code == 1

    def test_drift_is_repaired_by_the_propagation_policy(self) -> None:
        foreign = PKI(6)
        diagnosis = self.ask(
            disk=disk(*foreign.ders(foreign.root)), node=node(drift="edited by somebody: tkg-ca-0.pem")
        )
        assert "edited by somebody" in diagnosis.causes[0].reason
        assert "kubectl annotate tkc shop -n team trustplane.dev/propagation=Automatic" in diagnosis.causes[0].next_step

    def test_a_node_with_the_set_in_force_is_repaired_and_another_one_updated(self) -> None:
        foreign = PKI(6)
        for is_current, step in ((True, "&& trustplane prove shop -n team"), (False, "trustplane update shop -n team")):
            diagnosis = self.ask(disk=disk(*foreign.ders(foreign.root)), node=node(is_current=is_current))
            assert diagnosis.causes[0].code is Code.TRUST_NOT_APPLIED
            assert step in diagnosis.causes[0].next_step

    def test_a_wrong_clock_is_not_the_registrys_fault(self) -> None:
        error = "x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before"
        known = disk(self.root, clock=dt.timedelta(days=-2500))
        diagnosis = self.ask(tls(f"{error} 2025-01-01T00:00:00Z"), disk=known, node=node())
        assert diagnosis.causes[0].actor is Actor.CLUSTER_OWNER
        assert diagnosis.causes[0].next_step.startswith("on node worker-0: timedatectl")

    def test_the_next_step_names_the_node(self) -> None:
        diagnosis = self.ask(disk=disk(self.root, stale=True), node=node())
        assert "on node worker-0: systemctl restart containerd" in diagnosis.causes[0].next_step
        assert "trustplane prove shop" in diagnosis.causes[0].next_step


def test_a_rejected_login_is_named() -> None:
    secrets = (
        PullSecret("late", SecretState.USABLE, named_by="ServiceAccount default"),
        PullSecret("corp", SecretState.USABLE),
    )
    error = f"unexpected status from HEAD request to https://{HARBOR}/v2/team/app/manifests/1: 401 Unauthorized"
    diagnosis = diagnose(case(pulling(f"failed to resolve image: {error}"), secrets=secrets, challenge="basic"))
    assert _certain(diagnosis) == {Code.AUTH_REJECTED}
    assert "kubectl delete secret corp -n " in diagnosis.causes[0].next_step


@pytest.mark.parametrize("error", ["write tcp 10.0.0.1:5->10.0.0.2:8443: write: broken pipe", "EOF"])
def test_a_cut_connection_is_explained_by_dialling_the_host_again(error: str) -> None:
    wanting = host(failure="client-certificate-required")
    assert _certain(diagnose(case(head(error), hosts=(wanting,)))) == {Code.CLIENT_CERTIFICATE_REQUIRED}
    assert _certain(diagnose(case(head(error), hosts=(host(),)))) == {Code.CONNECTION_CLOSED}
    other_message = head("dial tcp 10.0.0.2:8443: connect: connection refused")
    assert _certain(diagnose(case(other_message, hosts=(wanting,)))) == {Code.CONNECTION_REFUSED}


class TestThroughAProxy:
    """The node uses a proxy that intercepts TLS with its own CA; this machine receives the registry's chain."""

    registry, interceptor = PKI(), PKI(label="Web Proxy CA")
    proxies = dataclasses.replace(disk(*registry.ders(registry.root)), proxies={HARBOR: "http://proxy.corp:3128"})

    def ask(self, *hosts: Host) -> Diagnosis:
        (root,) = self.registry.ders(self.registry.root)
        trusted = own(root)
        return diagnose(case(tls(), hosts=hosts, disk=self.proxies, node=node(), desired=trusted, in_force=trusted))

    def test_the_chain_that_the_node_receives_decides_and_the_proxy_is_named(self) -> None:
        served = host(
            *self.interceptor.ders(self.interceptor.server, self.interceptor.issuing, self.interceptor.root),
            observed_from=ObservedFrom.NODE,
        )
        through_proxy = dataclasses.replace(served, proxy="http://proxy.corp:3128")
        diagnosis = self.ask(host(*self.registry.ders()), through_proxy)
        assert _certain(diagnosis) == {Code.ISSUER_NOT_TRUSTED}
        assert "the proxy http://proxy.corp:3128 intercepts TLS to" in diagnosis.causes[0].next_step
        assert "through its proxy http://proxy.corp:3128" in diagnosis.causes[0].reason

    def test_the_chain_served_here_is_no_evidence(self) -> None:
        diagnosis = self.ask(host(*self.registry.ders()))
        assert not _certain(diagnosis)
        assert {Code.ISSUER_NOT_TRUSTED, Code.TRUST_NOT_APPLIED} <= {cause.code for cause in diagnosis.causes}


class TestRegistryAlone:
    pki = PKI()
    root = pki.ders(pki.root)[0]

    def ask(self, seen: Host, **known: object) -> Diagnosis:
        return diagnose(case(image="", registry="harbor.corp:8443", hosts=(seen,), **known))

    def test_trusted(self) -> None:
        diagnosis = self.ask(host(*self.pki.ders()), desired=own(self.root), in_force=own(self.root))
        assert (diagnosis.causes, diagnosis.exit_code) == ((), 0)

    def test_not_trusted(self) -> None:
        diagnosis = self.ask(host(*self.pki.ders(), self.root), desired=own(), in_force=own())
        assert [cause.code for cause in diagnosis.causes] == [Code.ISSUER_NOT_TRUSTED]
        assert diagnosis.exit_code == 0

    def test_no_answer(self) -> None:
        diagnosis = self.ask(host(failure="connection-refused"), desired=own(self.root), in_force=own(self.root))
        assert [cause.code for cause in diagnosis.causes] == [Code.CONNECTION_REFUSED]

    def test_not_dialled(self) -> None:
        diagnosis = diagnose(case(image="", registry="harbor.corp:8443"))
        assert (diagnosis.causes[0].code, diagnosis.exit_code) == (Code.UNKNOWN, 2)


def test_endpoints_are_the_hosts_of_the_messages_and_the_registry() -> None:
    mirror = head("EOF", "mirror.corp:5000", "/v2/team/app/manifests/1?ns=harbor.corp%3A8443")
    assert endpoints([mirror, tls()], "harbor.corp:8443/team/app:1") == [
        (Role.MIRROR, "mirror.corp:5000"),
        (Role.REGISTRY, "harbor.corp:8443"),
    ]
