"""Text from a certificate, proxy, mirror or response body never decides with high confidence for the client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.message_parser import parse_message

H = "reg.corp"
IMAGE = f"{H}/a:1"
PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": '
HEAD = f'{PULL}failed to do request: Head "https://{H}/v2/a/manifests/1": '
UNKNOWN = "x509: certificate signed by unknown authority"
ANSWER = f"unexpected status from HEAD request to https://{H}/v2/: 404 Not Found"
GET = f'Get "https://{H}/v2/": '
READING = f"{IMAGE}: reading manifest 1 in {H}/a: manifest unknown"
ATTEMPT = f', rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": {IMAGE}: not found'
UNTRUSTED = st.lists(
    st.sampled_from([ANSWER, GET, UNKNOWN, READING, ATTEMPT, "]): ", "[", "]", '"', "\n", ", ", ": ", "404"]),
    max_size=5,
).map("".join)


@given(UNTRUSTED)
def test_names_in_a_certificate_are_neither_an_answer_nor_another_attempt(names: str) -> None:
    (parsed,) = parse_message(
        f"{HEAD}tls: failed to verify certificate: x509: certificate is valid for {names}, not {H}"
    )
    assert parsed.statement is not None
    assert (parsed.statement.kind, parsed.statement.codes) == (Kind.CERTIFICATE, (Code.NAME_MISMATCH,))


@given(UNTRUSTED)
def test_a_body_yields_no_certificate_cause(body: str) -> None:
    message = f"{PULL}unexpected status from HEAD request to https://{H}/v2/a: 401 Unauthorized\n{UNKNOWN} {body}"
    (parsed,) = parse_message(message)
    assert parsed.statement is not None
    assert Code.AUTH_MISSING in parsed.statement.codes
    assert Code.ISSUER_NOT_TRUSTED not in parsed.statement.codes


@pytest.mark.parametrize(
    "message",
    [
        f"{HEAD}{ANSWER}",
        f"{HEAD}received unexpected HTTP status: 404 Not Found",
        f'(Mirrors also failed: [m.test/a: x]): {IMAGE}: {GET}x509: certificate is valid for "]): {READING}, not {H}',
        f"(Mirrors also failed: [m.test/a: ]): {IMAGE}: {GET}{UNKNOWN}]): {READING}",
        f"(Mirrors also failed: [m.test/a: ]): {IMAGE}: {GET}{UNKNOWN}]): {IMAGE}: {GET}{UNKNOWN}",
    ],
)
def test_text_that_a_proxy_or_mirror_can_imitate_is_not_certain(message: str) -> None:
    (parsed,) = parse_message(message)
    assert parsed.statement is None or parsed.statement.confidence is not Confidence.HIGH
