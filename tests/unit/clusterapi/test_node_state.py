from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    ACCEPTED,
    APPLIED,
    FAILED,
    NOT_TRUSTED,
    OUTDATED,
    PENDING,
    PROVEN,
    STATES,
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    UNREADABLE,
    UNVERIFIABLE,
    VERDICTS,
    VERIFIED,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
    UpdateError,
)
from trustplane.clusterapi.node_state import (
    MAX_ACCESS_AGE,
    NodeFacts,
    is_same_digest,
    node_state,
    registry_verdict,
    registry_verdicts,
)
from trustplane.nodes.registries import RegistryDirectory, RegistryReport, assess_access
from trustplane.proof.verdict import Trusted, parse_verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OLD, NEW = "a" * 64, "b" * 64
HOST = "registry.corp:5000"

TIMES = st.integers(-100, 100).map(lambda seconds: NOW + seconds * SECOND)
DIGESTS = st.sampled_from([OLD, NEW, OLD[:10], NEW[:10], ""])
RESULTS = st.builds(
    ProofResult,
    registry=st.sampled_from([HOST, "other"]),
    verdict=st.sampled_from(VERDICTS),
    answered_by=st.sampled_from(["", "token.corp"]),
)
PROOFS = st.builds(RecordedProof, digest=DIGESTS, at=st.none() | TIMES, results=st.lists(RESULTS, max_size=3))
ACCESS = st.builds(
    RegistryAccess,
    registry=st.sampled_from([HOST, "other"]),
    verification=st.sampled_from([VERIFIED, VERIFIED, UNVERIFIABLE, UNREADABLE, "", "else"]),
    reason=st.sampled_from(["", "mirror"]),
    proxy=st.sampled_from(["", "http://proxy.corp:3128"]),
)
INSPECTIONS = st.builds(
    Inspection,
    digest=DIGESTS,
    at=st.none() | TIMES,
    message=st.sampled_from(["", "edited"]),
    hidden=st.sampled_from(["", "hidden"]),
    error=st.sampled_from(["", "no SSH"]),
    registries=st.lists(ACCESS, max_size=3),
    registries_at=st.none() | TIMES,
)
FACTS = st.builds(
    NodeFacts,
    machine=st.just("m"),
    created=TIMES,
    node=st.sampled_from(["", "n"]),
    digest=DIGESTS,
    changed=st.none() | TIMES,
    is_partial=st.booleans(),
    has_unrecorded_write=st.booleans(),
    is_busy=st.booleans(),
    update_error=st.none()
    | st.builds(UpdateError, digest=DIGESTS, message=st.just("no SSH"), is_unreachable=st.booleans()),
    unreachable_reason=st.sampled_from(["", "stopped"]),
    proof=st.none() | PROOFS,
    inspection=st.none() | INSPECTIONS,
)


def proof(verdict: str = TRUSTED, *, digest: str = NEW, at: datetime = NOW) -> RecordedProof:
    return RecordedProof(digest=digest, at=at, results=[ProofResult(registry=HOST, verdict=verdict, message="words")])


def inspected(verification: str = VERIFIED, *, at: datetime = NOW, **values: str) -> Inspection:
    registry_access = RegistryAccess(registry=HOST, verification=verification, reason="because", next_step="Fix it")
    if verification == VERIFIED:
        registry_access = RegistryAccess(registry=HOST, verification=VERIFIED)
    return Inspection(digest=NEW, at=at, registries=[registry_access], registries_at=at, **values)


def update_error(digest: str) -> UpdateError:
    return UpdateError(digest=digest, at=NOW, message="no SSH")


def node(**values: object) -> NodeFacts:
    known = {
        "machine": "m",
        "node": "n",
        "created": NOW - 100 * SECOND,
        "digest": NEW,
        "proof": proof(),
        "inspection": inspected(),
    }
    return NodeFacts(**(known | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (node(), PROVEN, ""),
        (node(digest=NEW[:10]), PROVEN, ""),
        (node(proof=None), APPLIED, HOST),
        (node(changed=NOW), APPLIED, "no proof since"),
        (node(changed=NOW - SECOND), PROVEN, ""),
        (node(changed=NOW, proof=proof(at=NOW + SECOND)), ACCEPTED, "has not been inspected yet"),
        (node(proof=proof(digest=OLD)), APPLIED, HOST),
        (node(proof=proof(NOT_TRUSTED)), NOT_TRUSTED, "is not trusted: words"),
        (node(proof=proof(UNREACHABLE)), UNREACHABLE, "from the node"),
        (node(proof=proof(UNCLEAR)), UNCLEAR, "is unclear: words"),
        (node(inspection=None), ACCEPTED, "has not been inspected yet"),
        (node(inspection=inspected(UNREADABLE)), ACCEPTED, "is unknown: because. Fix it"),
        (node(inspection=inspected(UNVERIFIABLE)), UNCLEAR, "is unclear: because. Fix it"),
        (node(inspection=inspected(UNVERIFIABLE), proof=proof(NOT_TRUSTED)), NOT_TRUSTED, "words"),
        (node(inspection=Inspection(digest=NEW, at=NOW)), ACCEPTED, "has not been inspected yet"),
        (node(proof=proof(at=NOW + MAX_ACCESS_AGE + SECOND)), ACCEPTED, "much older than the proof"),
        (node(proof=proof(at=NOW + MAX_ACCESS_AGE)), PROVEN, ""),
        (node(node="", digest=""), PENDING, "being created"),
        (node(digest=OLD), PENDING, f"has set {OLD[:10]} and waits for its turn to receive {NEW[:10]}"),
        (node(digest=""), PENDING, "(unknown)"),
        (node(is_partial=True), PENDING, "a part of"),
        (node(has_unrecorded_write=True), PENDING, f"set {NEW[:10]} is written again"),
        (node(digest=OLD, has_unrecorded_write=True), PENDING, "waits for its turn"),
        (node(digest=OLD, update_error=update_error(NEW)), FAILED, f"writing set {NEW[:10]} to it failed: no SSH"),
        (node(is_partial=True, update_error=update_error(NEW)), FAILED, "no SSH"),
        (node(digest=OLD, update_error=update_error(OLD)), PENDING, "turn"),  # of the previous set
        (node(update_error=update_error(NEW)), PROVEN, ""),  # it has received the set since
        (node(digest=OLD, update_error=update_error(NEW), unreachable_reason="stopped"), UNREACHABLE, "stopped"),
        (node(unreachable_reason="stopped"), UNREACHABLE, "stopped"),
        (node(inspection=Inspection(digest=NEW, at=NOW, message="edited")), OUTDATED, "edited"),
        (node(inspection=inspected(hidden="x because of y")), PROVEN, "x because of y"),
        (node(inspection=Inspection(digest=NEW, at=NOW, message="edited", hidden="x")), OUTDATED, "edited; x"),
        (node(inspection=Inspection(digest=NEW, at=NOW, refusal="another key")), FAILED, "another key"),
        (node(inspection=Inspection(digest=NEW, at=NOW, error="no SSH")), ACCEPTED, "no SSH"),
        (
            node(inspection=inspected(error="no SSH")),
            PROVEN,
            "",
        ),  # the access of the last successful inspection still counts
        (
            node(changed=NOW - SECOND, inspection=Inspection(digest=NEW, at=NOW - SECOND, message="before")),
            ACCEPTED,
            "has not been inspected yet",
        ),
    ],
)
def test_states(facts: NodeFacts, state: str, words: str) -> None:
    result = node_state(facts, NEW, {HOST})
    assert result.state == state
    assert words in result.message


def test_a_drifted_node_also_reports_a_refused_registry() -> None:
    inspection = Inspection(digest=NEW, at=NOW, message="edited")
    result = node_state(node(inspection=inspection, proof=proof(NOT_TRUSTED)), NEW, {HOST})
    assert result.state == OUTDATED
    assert result.message == f"edited; {HOST} is not trusted: words"


def test_without_a_registry_nothing_is_proven() -> None:
    assert node_state(node(), NEW, frozenset()).state == APPLIED


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_every_node_has_a_state_and_a_reason(facts: NodeFacts, hosts: frozenset[str]) -> None:
    result = node_state(facts, NEW, hosts)
    assert result.state in STATES
    assert result.message or result.state == PROVEN
    assert result.state != PROVEN or not set(result.message.split("; ")) - {"", "hidden"} or "proxy" in result.message


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_an_outdated_proof_never_counts(facts: NodeFacts, hosts: frozenset[str]) -> None:
    if node_state(facts, NEW, hosts).state != PROVEN:
        return
    known = facts.proof
    assert hosts
    assert known is not None
    assert known.at is not None
    assert known.at > (facts.changed or facts.created)
    assert is_same_digest(facts.digest, NEW)
    assert not facts.is_partial
    assert is_same_digest(known.digest, NEW)
    verdicts = {result.registry: result.verdict for result in known.results}
    assert all(verdicts[host] == TRUSTED for host in hosts)
    assert not facts.unreachable_reason


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_only_verified_registries_are_proven(facts: NodeFacts, hosts: frozenset[str]) -> None:
    if node_state(facts, NEW, hosts).state != PROVEN:
        return
    inspection = facts.inspection
    assert inspection is not None
    assert inspection.at is not None
    assert inspection.at > (facts.changed or facts.created)
    assert is_same_digest(inspection.digest, NEW)
    verifications = {entry.registry: entry.verification for entry in reversed(inspection.registries)}
    assert all(verifications[host] == VERIFIED for host in hosts)


def test_a_second_hosts_answer_counts_only_if_the_registry_redirected_to_it() -> None:
    result = ProofResult(registry=HOST, verdict=TRUSTED, answered_by="token.corp")
    assert registry_verdict(result, RegistryAccess(verification=VERIFIED)).verdict == TRUSTED
    unseen = registry_verdict(result, RegistryAccess(verification=UNREADABLE, reason="no SSH"))
    assert (unseen.verdict, unseen.message) == (
        UNCLEAR,
        "token.corp answered, but which host redirected the kubelet there is unknown; no SSH",
    )


def test_a_proven_node_names_its_proxy() -> None:
    inspection = inspected()
    inspection.registries = [RegistryAccess(registry=HOST, verification=VERIFIED, proxy="http://proxy.corp:3128")]
    result = node_state(node(inspection=inspection), NEW, {HOST})
    assert (result.state, result.message) == (PROVEN, f"{HOST} is trusted: through proxy http://proxy.corp:3128")


# Messages of containerd that also occur with a mirror, plain HTTP or no verification, although they look like proofs.
IMAGE = f"{HOST}/trustplane/probe:n1"
FAILED_PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve image: '
MESSAGES = [
    f"{FAILED_PULL}{IMAGE}: not found",
    f"{FAILED_PULL}failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
    (
        f"{FAILED_PULL}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
        "https://auth.mirror.example/token?scope=repository%3Aa%3Apull&service=mirror: 403 Forbidden"
    ),
    f"{FAILED_PULL}pull access denied, repository does not exist or may require authorization: authorization failed",
    f"{FAILED_PULL}unexpected status from HEAD request to https://{HOST}/v2/a/manifests/1: 403 Forbidden",
]
CONFIGURATIONS = [
    "skip_verify = true",
    f'server = "http://{HOST}"',
    '[host."https://mirror.example"]',
    f'[host."https://mirror.example/v2/{HOST}"]\noverride_path = true\ncapabilities = ["pull", "resolve"]',
    f'[host."https://{HOST}"]\nskip_verify = true',
]


def facts_of_proof(message: str, report: RegistryReport) -> NodeFacts:
    answer = parse_verdict(message, HOST)
    recorded = TRUSTED if isinstance(answer, Trusted) else UNCLEAR
    result = ProofResult(registry=HOST, verdict=recorded, answered_by=getattr(answer, "answered_by", ""))
    inspection = inspected()
    inspection.registries = [assess_access(report, HOST)]
    return node(proof=RecordedProof(digest=NEW, at=NOW, results=[result]), inspection=inspection)


def report_of(toml: str, configuration: str | None = None) -> RegistryReport:
    default = '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d"'
    return RegistryReport(
        configuration=default if configuration is None else configuration,
        directories={HOST: (RegistryDirectory("/etc/containerd/certs.d/x", toml),)},
        hosts=frozenset({HOST}),
        roots=frozenset({"/etc/containerd/certs.d"}),
    )


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_proves_trust_only_if_the_node_verifies(message: str) -> None:
    assert isinstance(parse_verdict(message, HOST), Trusted)
    assert node_state(facts_of_proof(message, report_of("")), NEW, {HOST}).state == PROVEN
    for toml in CONFIGURATIONS:
        result = node_state(facts_of_proof(message, report_of(toml)), NEW, {HOST})
        assert result.state == UNCLEAR
        assert "contact the registry directly" in result.message
    assert node_state(facts_of_proof(message, report_of("", configuration="")), NEW, {HOST}).state in (
        ACCEPTED,
        UNCLEAR,
    )


@given(st.sampled_from(MESSAGES) | st.text(max_size=200), st.sampled_from(["", "x", "[plugins]"]))
def test_no_message_proves_trust_without_the_nodes_configuration(words: str, text: str) -> None:
    facts = facts_of_proof(f"{FAILED_PULL}{words}", report_of("", configuration=text))
    assert node_state(facts, NEW, {HOST}).state != PROVEN
    assert all(judgement.verdict != TRUSTED for judgement in registry_verdicts(facts, {HOST}))


@given(FACTS)
def test_another_answer_never_hides_a_refusal(facts: NodeFacts) -> None:
    valid = facts.valid_proof
    if valid and any(result.verdict == NOT_TRUSTED and result.registry == HOST for result in valid.results):
        assert node_state(facts, NEW, {HOST}).state not in (PROVEN, APPLIED)


def test_an_unknown_digest_equals_no_digest() -> None:
    assert not is_same_digest("", "")
    assert not is_same_digest("", NEW)
    assert is_same_digest(NEW, NEW[:10])
