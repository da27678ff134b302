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
    Hindrance,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
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
REACHED = st.builds(
    RegistryAccess,
    registry=st.sampled_from([HOST, "other"]),
    verification=st.sampled_from([VERIFIED, VERIFIED, UNVERIFIABLE, UNREADABLE, "", "else"]),
    reason=st.sampled_from(["", "mirror"]),
    proxy=st.sampled_from(["", "http://proxy.corp:3128"]),
)
LOOKS = st.builds(
    Inspection,
    digest=DIGESTS,
    at=st.none() | TIMES,
    message=st.sampled_from(["", "edited"]),
    hidden=st.sampled_from(["", "hidden"]),
    error=st.sampled_from(["", "no SSH"]),
    registries=st.lists(REACHED, max_size=3),
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
    is_busy=st.booleans(),
    hindrance=st.none() | st.builds(Hindrance, digest=DIGESTS, message=st.just("no SSH"), is_unreachable=st.booleans()),
    silence=st.sampled_from(["", "stopped"]),
    proof=st.none() | PROOFS,
    inspection=st.none() | LOOKS,
)


def proof(verdict: str = TRUSTED, *, digest: str = NEW, at: datetime = NOW) -> RecordedProof:
    return RecordedProof(digest=digest, at=at, results=[ProofResult(registry=HOST, verdict=verdict, message="words")])


def seen(verification: str = VERIFIED, *, at: datetime = NOW, **values: str) -> Inspection:
    reached = RegistryAccess(registry=HOST, verification=verification, reason="because", next_step="Mend it")
    if verification == VERIFIED:
        reached = RegistryAccess(registry=HOST, verification=VERIFIED)
    return Inspection(digest=NEW, at=at, registries=[reached], registries_at=at, **values)


def hindered(digest: str) -> Hindrance:
    return Hindrance(digest=digest, at=NOW, message="no SSH")


def node(**values: object) -> NodeFacts:
    known = {
        "machine": "m",
        "node": "n",
        "created": NOW - 100 * SECOND,
        "digest": NEW,
        "proof": proof(),
        "inspection": seen(),
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
        (node(changed=NOW, proof=proof(at=NOW + SECOND)), ACCEPTED, "was not looked at yet"),
        (node(proof=proof(digest=OLD)), APPLIED, HOST),
        (node(proof=proof(NOT_TRUSTED)), NOT_TRUSTED, "is not trusted: words"),
        (node(proof=proof(UNREACHABLE)), UNREACHABLE, "from the node"),
        (node(proof=proof(UNCLEAR)), UNCLEAR, "not clear: words"),
        (node(inspection=None), ACCEPTED, "was not looked at yet"),
        (node(inspection=seen(UNREADABLE)), ACCEPTED, "not seen: because. Mend it"),
        (node(inspection=seen(UNVERIFIABLE)), UNCLEAR, "not clear: because. Mend it"),
        (node(inspection=seen(UNVERIFIABLE), proof=proof(NOT_TRUSTED)), NOT_TRUSTED, "words"),
        (node(inspection=Inspection(digest=NEW, at=NOW)), ACCEPTED, "was not looked at yet"),
        (node(proof=proof(at=NOW + MAX_ACCESS_AGE + SECOND)), ACCEPTED, "long before"),
        (node(proof=proof(at=NOW + MAX_ACCESS_AGE)), PROVEN, ""),
        (node(node="", digest=""), PENDING, "being made"),
        (node(digest=OLD), PENDING, f"has set {OLD[:10]} and waits for its turn to get {NEW[:10]}"),
        (node(digest=""), PENDING, "(unknown)"),
        (node(is_partial=True), PENDING, "a part of"),
        (node(digest=OLD, hindrance=hindered(NEW)), FAILED, f"writing set {NEW[:10]} on it failed: no SSH"),
        (node(is_partial=True, hindrance=hindered(NEW)), FAILED, "no SSH"),
        (node(digest=OLD, hindrance=hindered(OLD)), PENDING, "turn"),  # of the set before
        (node(hindrance=hindered(NEW)), PROVEN, ""),  # it has got it since
        (node(digest=OLD, hindrance=hindered(NEW), silence="stopped"), UNREACHABLE, "stopped"),
        (node(silence="stopped"), UNREACHABLE, "stopped"),
        (node(inspection=Inspection(digest=NEW, at=NOW, message="edited")), OUTDATED, "edited"),
        (node(inspection=seen(hidden="x because of y")), PROVEN, "x because of y"),
        (node(inspection=Inspection(digest=NEW, at=NOW, message="edited", hidden="x")), OUTDATED, "edited; x"),
        (node(inspection=Inspection(digest=NEW, at=NOW, refusal="another key")), FAILED, "another key"),
        (node(inspection=Inspection(digest=NEW, at=NOW, error="no SSH")), ACCEPTED, "no SSH"),
        (node(inspection=seen(error="no SSH")), PROVEN, ""),  # how it was when it was last seen still counts
        (
            node(changed=NOW - SECOND, inspection=Inspection(digest=NEW, at=NOW - SECOND, message="before")),
            ACCEPTED,
            "was not looked at yet",
        ),
    ],
)
def test_states(facts: NodeFacts, state: str, words: str) -> None:
    found = node_state(facts, NEW, {HOST})
    assert found.state == state
    assert words in found.message


def test_where_files_differ_what_the_kubelet_says_is_told_as_well() -> None:
    look = Inspection(digest=NEW, at=NOW, message="edited")
    found = node_state(node(inspection=look, proof=proof(NOT_TRUSTED)), NEW, {HOST})
    assert found.state == OUTDATED
    assert found.message == f"edited; {HOST} is not trusted: words"


def test_without_a_registry_there_is_nothing_to_prove() -> None:
    assert node_state(node(), NEW, frozenset()).state == APPLIED


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_every_node_has_one_state_and_says_why(facts: NodeFacts, hosts: frozenset[str]) -> None:
    found = node_state(facts, NEW, hosts)
    assert found.state in STATES
    assert found.message or found.state == PROVEN
    assert found.state != PROVEN or not set(found.message.split("; ")) - {"", "hidden"} or "proxy" in found.message


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_proven_is_never_believed_of_the_past(facts: NodeFacts, hosts: frozenset[str]) -> None:
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
    said = {one.registry: one.verdict for one in known.results}
    assert all(said[host] == TRUSTED for host in hosts)
    assert not facts.unreachable_reason


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_proven_is_only_what_was_seen_to_be_verified(facts: NodeFacts, hosts: frozenset[str]) -> None:
    if node_state(facts, NEW, hosts).state != PROVEN:
        return
    look = facts.inspection
    assert look is not None
    assert look.at is not None
    assert look.at > (facts.changed or facts.created)
    assert is_same_digest(look.digest, NEW)
    reached = {one.registry: one.verification for one in reversed(look.registries)}
    assert all(reached[host] == VERIFIED for host in hosts)


def test_what_a_second_host_answered_counts_only_where_the_registry_must_have_sent_it_there() -> None:
    result = ProofResult(registry=HOST, verdict=TRUSTED, answered_by="token.corp")
    assert registry_verdict(result, RegistryAccess(verification=VERIFIED)).verdict == TRUSTED
    unseen = registry_verdict(result, RegistryAccess(verification=UNREADABLE, reason="no SSH"))
    assert (unseen.verdict, unseen.message) == (
        UNCLEAR,
        "token.corp answered, and who sent the kubelet there was not seen; no SSH",
    )


def test_a_proxy_is_named_beside_the_proof() -> None:
    look = seen()
    look.registries = [RegistryAccess(registry=HOST, verification=VERIFIED, proxy="http://proxy.corp:3128")]
    found = node_state(node(inspection=look), NEW, {HOST})
    assert (found.state, found.message) == (PROVEN, f"{HOST} is trusted: through proxy http://proxy.corp:3128")


# What containerd says where it asks a mirror, by HTTP, or without verification: the words are those of a proof.
IMAGE = f"{HOST}/trustplane/probe:n1"
FAILED_PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve image: '
WORDS = [
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


def proof_by(words: str, report: RegistryReport) -> NodeFacts:
    said = parse_verdict(words, HOST)
    recorded = TRUSTED if isinstance(said, Trusted) else UNCLEAR
    result = ProofResult(registry=HOST, verdict=recorded, answered_by=getattr(said, "answered_by", ""))
    look = seen()
    look.registries = [assess_access(report, HOST)]
    return node(proof=RecordedProof(digest=NEW, at=NOW, results=[result]), inspection=look)


def report_of(toml: str, configuration: str | None = None) -> RegistryReport:
    default = '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d"'
    return RegistryReport(
        configuration=default if configuration is None else configuration,
        directories={HOST: (RegistryDirectory("/etc/containerd/certs.d/x", toml),)},
        hosts=frozenset({HOST}),
        roots=frozenset({"/etc/containerd/certs.d"}),
    )


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_proof_prove_something_only_where_the_node_verifies(words: str) -> None:
    assert isinstance(parse_verdict(words, HOST), Trusted)
    assert node_state(proof_by(words, report_of("")), NEW, {HOST}).state == PROVEN
    for toml in CONFIGURATIONS:
        found = node_state(proof_by(words, report_of(toml)), NEW, {HOST})
        assert found.state == UNCLEAR
        assert "ask the registry itself" in found.message
    assert node_state(proof_by(words, report_of("", configuration="")), NEW, {HOST}).state in (ACCEPTED, UNCLEAR)


@given(st.sampled_from(WORDS) | st.text(max_size=200), st.sampled_from(["", "x", "[plugins]"]))
def test_whatever_a_kubelet_says_nothing_is_proven_without_its_nodes_configuration(words: str, text: str) -> None:
    facts = proof_by(f"{FAILED_PULL}{words}", report_of("", configuration=text))
    assert node_state(facts, NEW, {HOST}).state != PROVEN
    assert all(one.verdict != TRUSTED for one in registry_verdicts(facts, {HOST}))


@given(FACTS)
def test_a_refusal_is_never_hidden_by_another_answer(facts: NodeFacts) -> None:
    valid = facts.valid_proof
    if valid and any(one.verdict == NOT_TRUSTED and one.registry == HOST for one in valid.results):
        assert node_state(facts, NEW, {HOST}).state not in (PROVEN, APPLIED)


def test_unknown_digests_are_equal_to_none() -> None:
    assert not is_same_digest("", "")
    assert not is_same_digest("", NEW)
    assert is_same_digest(NEW, NEW[:10])
