"""Explanations of a corpus of real failures, and properties of the explanation of any message."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gox509.verdict import Cause as ChainCause
from trustplane.diagnosis.cause import MEANINGS, Code, Confidence
from trustplane.diagnosis.explanation import Evidence, explain, weigh
from trustplane.diagnosis.layer import Role
from trustplane.registry import failure
from trustplane.text import MAX_INPUT

CORPUS = json.loads((Path(__file__).parent / "pull-errors.json").read_text())
FAILURES = [
    pytest.param(outcome["cause"], message, id=f"{name}-{client.split()[0]}")
    for name, outcome in CORPUS.items()
    for client, message in outcome["messages"].items()
    if message
]
MESSAGES = [str(case.values[1]) for case in FAILURES]
# The client reports several causes with the same message, in the corpus or according to its source code.
UNDECIDED = {
    "basic401-containerd",  # containerd 1.6 has the same message for a wrong password
    "bearer_denied-containers/image",  # the same message with and without credentials
    "ca_badpem-containers/image",
    "ca_missing-containers/image",
    "self_signed-containerd",
    "self_signed-containers/image",
    "unknown_ca-containerd",
    "unknown_ca-containers/image",
}


@pytest.mark.parametrize(("truth", "message"), FAILURES)
def test_the_true_cause_is_among_the_causes(truth: str, message: str) -> None:
    assert truth in explain(message).codes


@pytest.mark.parametrize(("truth", "message"), [case for case in FAILURES if case.id not in UNDECIDED])
def test_the_true_cause_is_alone_if_the_message_decides(truth: str, message: str) -> None:
    assert explain(message).codes == (truth,)


@pytest.mark.parametrize(("truth", "message"), [case for case in FAILURES if case.id in UNDECIDED])
def test_several_causes_if_it_does_not(truth: str, message: str) -> None:
    assert truth in explain(message).codes
    assert len(explain(message).codes) > 1


@settings(max_examples=150)
@given(st.sampled_from(MESSAGES), st.data())
def test_a_cut_message_never_claims_another_cause(message: str, data: st.DataObject) -> None:
    cut = explain(message[: data.draw(st.integers(0, len(message)))])
    if cut.is_known and len(cut.codes) == 1:
        whole = explain(message)
        assert cut.codes[0] in whole.codes or cut.causes[0].confidence is not Confidence.HIGH


LAYERS = (
    'Failed to pull image "IMAGE": ',
    "rpc error: code = Unknown desc = ",
    "rpc error: code = NotFound desc = ",
    'Back-off pulling image "IMAGE": ',
    "ErrImagePull: ",
    "ImagePullBackOff: ",
    'failed to "StartContainer" for "app" with ErrImagePull: ',
    "  Warning  Failed  3m (x4 over 5m)  kubelet  ",
)


@settings(max_examples=150)
@given(st.sampled_from(MESSAGES), st.lists(st.sampled_from(LAYERS), max_size=5))
def test_layers_in_any_order_change_nothing(message: str, layers: list[str]) -> None:
    assert explain("".join(layers) + message).codes == explain(message).codes


FRAGMENTS = st.sampled_from(
    [
        *LAYERS,
        *MESSAGES,
        'Get "https://h/',
        "x509: ",
        "denied: ",
        ": ",
        "(Mirrors also failed: [",
        "https://a:b@[:1/?x",
        "\\",
    ]
)


@settings(max_examples=150)
@given(st.lists(st.one_of(st.text(max_size=40), FRAGMENTS), max_size=8))
def test_any_text_is_explained(parts: list[str]) -> None:
    explanation = explain("".join(parts))
    assert explanation.causes
    assert all(cause.next_step and cause.reason and cause.meaning for cause in explanation.causes)
    assert len(set(explanation.codes)) == len(explanation.codes)
    assert Code.UNKNOWN not in explanation.codes or len(explanation.codes) == 1


@pytest.mark.parametrize("garbage", ["a", ": ", "x509: ", "([{\"'", 'Get "https://a/?b=c": ', "denied: User: ", "\n"])
def test_megabytes_of_garbage_are_cut(garbage: str) -> None:
    explanation = explain(garbage * (10_000_000 // len(garbage)))
    assert len(explanation.parsed.text) <= 2 * MAX_INPUT  # redaction may lengthen the text


def test_every_code_has_a_meaning_and_a_next_step() -> None:
    assert set(MEANINGS) == set(Code)
    assert {str(cause) for cause in ChainCause} <= {str(code) for code in Code}
    assert {*failure._TLS.values(), *failure._NETWORK.values()} <= {str(code) for code in Code}


def test_evidence_of_a_missing_secret_decides() -> None:
    evidence = Evidence("event", "no secret", points_to=frozenset({Code.AUTH_MISSING}))
    narrowed = explain("unexpected status: 401 Unauthorized", [evidence])
    assert narrowed.codes == (Code.AUTH_MISSING,)
    assert narrowed.causes[0].confidence is Confidence.HIGH
    assert narrowed.evidence == (evidence,)


@given(
    st.lists(st.sampled_from(list(Code)), min_size=1, unique=True),
    st.lists(
        st.builds(
            Evidence,
            st.just("x"),
            st.just("y"),
            st.frozensets(st.sampled_from(list(Code))),
            st.frozensets(st.sampled_from(list(Code))),
        )
    ),
)
def test_evidence_only_narrows(codes: list[Code], evidence: list[Evidence]) -> None:
    remaining, _ = weigh(codes, evidence)
    assert remaining
    assert list(remaining) == [code for code in codes if code in remaining]


@pytest.mark.parametrize(
    ("host", "port", "role", "message"),
    [
        (
            "mirror.test",
            "443",
            Role.MIRROR,
            (
                'failed to resolve reference "h.test/a:1": failed to do request: Head '
                '"https://mirror.test/v2/a/manifests/1?ns=h.test": EOF'
            ),
        ),
        (
            "h.test",
            "5000",
            Role.REGISTRY,
            (
                "(Mirrors also failed: [m.test/a:1: pinging container registry m.test: x]): h.test:5000/a:1: pinging "
                'container registry h.test:5000: Get "https://h.test:5000/v2/": EOF'
            ),
        ),
        (
            "blobs.test",
            "443",
            Role.BLOB_STORE,
            (
                'failed to pull and unpack image "h.test/a:1": failed to copy: httpReadSeeker: failed open: failed to '
                'do request: Get "https://blobs.test/x?sig=1": EOF'
            ),
        ),
        (
            "registry-1.docker.io",
            "443",
            Role.REGISTRY,
            (
                'failed to resolve reference "docker.io/library/a:1": failed to do request: Head '
                '"https://registry-1.docker.io/v2/library/a/manifests/1": EOF'
            ),
        ),
        ("fd00::1", "5000", Role.REGISTRY, 'Get "https://[fd00::1]:5000/v2/": EOF'),
        (
            "proxy.test",
            "",
            Role.PROXY,
            'Get "https://h/v2/": proxyconnect tcp: dial tcp: lookup proxy.test: no such host',
        ),
        ("10.0.0.9", "3128", Role.PROXY, 'Get "https://h/v2/": proxyconnect tcp: dial tcp 10.0.0.9:3128: i/o timeout'),
    ],
)
def test_the_failed_host(host: str, port: str, role: Role, message: str) -> None:
    endpoint = explain(message).parsed.endpoint
    assert (endpoint.host, endpoint.port, endpoint.role) == (host, port, role)


def test_mirrors_do_not_decide() -> None:
    unknown = "x509: certificate signed by unknown authority"
    mirrors = (
        f'(Mirrors also failed: [m.test/a:1: pinging container registry m.test: Get "https://m.test/v2/": {unknown}]'
    )
    assert explain(f"{mirrors}): h.test/a:1: reading manifest 1 in h.test/a: manifest unknown").codes == (
        "image-not-found",
    )
    assert not explain(mirrors).is_known
    assert any("m.test" in layer.host for layer in explain(mirrors).parsed.layers)


@given(st.text(max_size=30))
def test_a_next_step_is_safe_to_paste(name: str) -> None:
    assume(not name.isascii() or any(letter in name for letter in "$;`&|<>'\"\\ \n"))
    explanation = explain(f'Get "https://{name}/v2/": x509: certificate signed by unknown authority')
    assert all(not set("$`") & set(cause.next_step) and cause.next_step.count(";") <= 1 for cause in explanation.causes)


def test_the_reference_has_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/explain.md").read_text()
    assert all(f"| `{code}` | {meaning.text} | {meaning.actor} |" in page for code, meaning in MEANINGS.items())
