"""Whoever answers at a registry's address, or sits on the way, may write anything: it is never the client's framing."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trustplane.proof.probe import build_probe_pod, probe_verdict
from trustplane.proof.reports import PROBE_PODS
from trustplane.proof.verdict import NotTrusted, RefusalReason, Trusted, Unclear, parse_verdict

H = "reg.corp"
IMAGE = f"{H}/trustplane/probe:n1"
PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": '
HEAD = f'{PULL}failed to do request: Head "https://{H}/v2/trustplane/probe/manifests/n1": '
CRIO = f"initializing source docker://{IMAGE}: pinging container registry {H}: "
TOKEN = f'{PULL}failed to authorize: failed to fetch anonymous token: Get "https://tok.test/token?scope=a&service=b": '
MIRROR = (
    f'(Mirrors also failed: [m.test/x:n1: pinging container registry m.test: Get "https://m.test/v2/": %]): {IMAGE}: '
)
READING = f"reading manifest n1 in {H}/trustplane/probe: "
UNKNOWN = "x509: certificate signed by unknown authority"
VALID = f"x509: certificate is valid for %, not {H}"

ANSWER = f"request to https://{H}/v2/: 404 Not Found"
REFUSAL = f'Get "https://{H}/v2/": {UNKNOWN}'

# `%` is where a stranger writes.
REFUSED = [
    f"{HEAD}{VALID}",
    f"{HEAD}tls: failed to verify certificate: {VALID}",
    f"{HEAD}tls: failed to parse certificate from server: x509: %",
    f'{HEAD}{UNKNOWN} (possibly because of "x509: %" while trying to verify candidate authority certificate "%")',
    f'{CRIO}Get "https://{H}/v2/": tls: failed to verify certificate: {VALID}',
    f"{CRIO}Get https://{H}/v2/: {VALID}",
    f"{TOKEN}tls: failed to verify certificate: {VALID}",
    f"{VALID}",
    f'{MIRROR}pinging container registry {H}: Get "https://{H}/v2/": {VALID}',
    f"{HEAD}%",  # an HTTP proxy's status text
    f'{CRIO}Get "https://{H}/v2/": %',
    f"{HEAD}remote error: tls: %",
    f'{HEAD}net/http: HTTP/1.x transport connection broken: malformed HTTP response "%"',
    f"{PULL}unexpected status from HEAD request to http://{H}/v2/a/manifests/1: 404 %",
    f"{PULL}unexpected status from HEAD request to https://m.test/v2/a/manifests/1?ns={H}: 404 %",
    f'{CRIO}Get "http://{H}/v2/": %',
    f'{PULL}failed to do request: Head "https://m.test/moved?a= %": EOF',  # where a mirror sends the client on
]
ANSWERED = [
    f"{PULL}unexpected status from HEAD request to https://{H}/v2/a/manifests/1: 403 %",
    f"{PULL}unexpected status from HEAD request to http://{H}/v2/a/manifests/1: 403 %",
    f"{PULL}unexpected status from HEAD request to https://m.test/v2/a/manifests/1?ns={H}: 403 %",
    f"{PULL}pulling from host {H} failed with status code [manifests n1]: 401 %",
    f"{PULL}unexpected status code [manifests n1]: 503 %",
    f"{PULL}failed to authorize: failed to fetch anonymous token: unexpected status: 401 %",
    f"{PULL}pull access denied, repository does not exist or may require authorization: server message: %",
    f"{PULL}{IMAGE}: not found: %",
    f'{CRIO}StatusCode: 404, "%"',
    f"{CRIO}received unexpected HTTP status: 503 %",
    f"{READING}unknown: %",
    f"{READING}unauthorized: %",
    f"{READING}toomanyrequests: %",
    "Error response from daemon: unknown: %",
    "Error response from daemon: denied: %",
    'Error response from daemon: error parsing HTTP 403 response body: invalid character: "%"',
    f"{MIRROR}{READING}manifest unknown",
    f"{MIRROR}{READING}unknown: %",
    f'{CRIO}Get "http://{H}/v2/": %',
    f'{HEAD}net/http: HTTP/1.x transport connection broken: malformed HTTP response "%"',
]
GRAMMAR = [
    *(ANSWER, REFUSAL, REFUSAL.replace('"', '\\"'), REFUSAL.replace("https", "http"), UNKNOWN, VALID, IMAGE, H),
    *(f"HEAD {ANSWER}", f'Head "https://{H}/v2/": ', f"Get https://{H}/v2/: ", f"status code https://{H}/v2/: 401"),
    *(f"{IMAGE}: not found", f"{READING}manifest unknown", f"pulling from host {H} failed with status code [n1]: 401"),
    *("(Mirrors also failed: [", "]): ", "failed to authorize: ", "failed to copy: ", "unable to load CA cert ", "404"),
    *("unauthorized: ", "denied: ", "no basic auth credentials", "unexpected status: 401", "proxyconnect tcp: ", "EOF"),
    *('"', "'", "\\", "(", ")", "[", "]", ":", ";", ",", " ", "\n", "\r\n", "\t", "\u202e", "é", "tls: ", "x509: "),
    *(f"?ns={H}", "?scope=a", "errors:\n", "server message: ", "Not Found", "Forbidden", PULL, HEAD, CRIO, "%"),
]
STRANGERS = st.lists(st.sampled_from(GRAMMAR) | st.text(max_size=5), max_size=6).map("".join)


@pytest.mark.parametrize("framing", [f"{HEAD}{VALID}", f"{HEAD}tls: failed to verify certificate: {VALID}"])
def test_a_certificate_that_has_an_answer_for_a_name_is_refused(framing: str) -> None:
    judged = parse_verdict(framing.replace("%", ANSWER), H)
    assert isinstance(judged, NotTrusted)
    assert (judged.reason, judged.host) == (RefusalReason.NAME_MISMATCH, H)


def test_a_proxys_status_text_that_reads_as_an_answer_is_none() -> None:
    assert isinstance(parse_verdict(HEAD + ANSWER, H), Unclear)


@pytest.mark.parametrize(
    "answered", ["https://reg.corp/v2/a: 403 ", "http://reg.corp/v2/a: 403 ", "https://m.test/v2/a?ns=reg.corp: 403 "]
)
def test_an_answer_that_reads_as_a_refusal_is_none(answered: str) -> None:
    message = f"{PULL}unexpected status from HEAD request to {answered}{REFUSAL}"
    assert isinstance(parse_verdict(message, H), Trusted if answered.startswith("https://reg.corp") else Unclear)


@pytest.mark.parametrize("end", ["x" * 10_000, "..."])
def test_a_mirror_that_has_the_end_of_its_words_cut_off_does_not_speak_for_the_registry(end: str) -> None:
    words = MIRROR.partition("%")[0] + f"]): {IMAGE}: {READING}manifest unknown" + end
    assert isinstance(parse_verdict(words, H), Unclear)
    assert isinstance(parse_verdict(MIRROR.partition("%")[0] + f"]): {IMAGE}: {REFUSAL}" + end, H), Unclear)


def test_the_probes_outcome_is_not_what_a_certificate_says() -> None:
    pod = build_probe_pod("node-1", H, "n1")
    message = f"{HEAD}tls: failed to verify certificate: {VALID}".replace("%", ANSWER)
    waiting = {"reason": "ErrImagePull", "message": message}
    pod["status"] = {"containerStatuses": [{"name": "probe", "state": {"waiting": waiting}}]}
    assert isinstance(probe_verdict(PROBE_PODS.decode(msgspec.json.encode(pod))), NotTrusted)


@given(st.sampled_from(REFUSED), STRANGERS)
@example(REFUSED[0], ANSWER)
@example(f"{HEAD}{VALID}", f"]): {READING}manifest unknown")
@example(f'{MIRROR}pinging container registry {H}: Get "https://{H}/v2/": {VALID}', f"]): {READING}manifest unknown")
def test_no_strangers_words_make_a_refusal_trust(framing: str, words: str) -> None:
    message = framing.replace("%", words)
    assert not isinstance(parse_verdict(message, H), Trusted)
    assert not isinstance(parse_verdict(f'Failed to pull image "{IMAGE}": {message}', H), Trusted)


@given(st.sampled_from(ANSWERED), STRANGERS)
@example(ANSWERED[0], REFUSAL)
@example(ANSWERED[1], "unable to load CA cert ")
@example(f"{MIRROR}{READING}manifest unknown", f"]): {IMAGE}: {REFUSAL}")
def test_no_strangers_words_make_an_answer_a_refusal(framing: str, words: str) -> None:
    message = framing.replace("%", words)
    assert not isinstance(parse_verdict(message, H), NotTrusted)
    assert not isinstance(parse_verdict(f'Failed to pull image "{IMAGE}": {message}', H), NotTrusted)


@given(
    st.sampled_from([one for one in REFUSED if f"{HEAD}tls: failed to v" in one or one.startswith(HEAD + "x")]),
    STRANGERS,
)
def test_a_refusal_stays_one_whatever_the_certificate_says(framing: str, words: str) -> None:
    """A canary stops at a refusal: a certificate's names do not talk it out of that."""
    assert isinstance(parse_verdict(framing.replace("%", words), H), NotTrusted)
