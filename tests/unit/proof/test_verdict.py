import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.proof.verdict import (
    NotTrusted,
    ProofVerdict,
    RefusalReason,
    Trusted,
    Unclear,
    Unreachable,
    accepted_verdict,
    parse_verdict,
)

H = "registry.corp.test:5000"
IMAGE = f"{H}/trustplane/probe:n1"
HEAD = f'failed to do request: Head "https://{H}/v2/trustplane/probe/manifests/n1": '
V2 = f'failed to pull and unpack image "{IMAGE}": failed to resolve image: '
TOKEN = "https://tok.test:5052/token?scope=repository%3Aapp%3Apull&service=lab"
FAILED = f'failed to pull and unpack image "{IMAGE}": '
V1 = f'rpc error: code = Unknown desc = {FAILED}failed to resolve reference "{IMAGE}": '
CRIO = f"initializing source docker://{IMAGE}: pinging container registry {H}: "
UNKNOWN = "x509: certificate signed by unknown authority"
MIRRORED = (
    f'(Mirrors also failed: [m.test/x:n1: pinging container registry m.test: Get "https://m.test/v2/": {UNKNOWN}]): '
)

ACCEPTED = [
    f"rpc error: code = NotFound desc = {V2}{IMAGE}: not found",
    f"{V1}{IMAGE}: not found",
    f"{V1}pulling from host {H} failed with status code [manifests n1]: 401 Unauthorized",
    f"{V1}unexpected status code [manifests n1]: 503 Service Unavailable",
    f"{V2}unexpected status from HEAD request to https://{H}/v2/trustplane/probe/manifests/n1: 403 Forbidden",
    f"{V2}unexpected status from HEAD request to https://{H}/v2/probe/manifests/n1: 500 Internal Server Error",
    (
        f"{V2}pull access denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed"
    ),
    (
        f"{V2}pull access denied, repository does not exist or may require authorization: authorization failed: "
        "no basic auth credentials"
    ),
    (
        f"{V2}failed to authorize: failed to fetch oauth token: unexpected status from POST request to "
        f"https://{H}/service/token: 401 Unauthorized"
    ),
    f"initializing source docker://{IMAGE}: reading manifest n1 in {H}/trustplane/probe: manifest unknown",
    f"reading manifest n1 in {H}/trustplane/probe: unauthorized: authentication required",
    f"{MIRRORED}{IMAGE}: reading manifest n1 in {H}/trustplane/probe: manifest unknown",
    f'reading manifest n1 in {H}/proxy/x: unknown: Get "https://upstream.test/v2/": {UNKNOWN}',
    f"Error response from daemon: manifest for {IMAGE} not found: manifest unknown: manifest unknown",
]
# Responses of second hosts, each with the host.
SENT_ON = [
    (f"{V1}failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized", "a second host"),
    (
        (
            f"{V2}failed to authorize: failed to fetch oauth token: unexpected status from POST request to "
            "https://token.corp.test/token: 401 Unauthorized"
        ),
        "token.corp.test",
    ),
    (
        (
            f"{FAILED}failed to copy: httpReadSeeker: failed open: could not fetch content "
            "descriptor sha256:b515 (application/vnd.oci.image.config.v1+json) from remote: not found"
        ),
        "a second host",
    ),
]
# (message, part of the next step): such failures prove nothing.
NO_PROOF = [
    (f"{V1}pulling from host {H} failed with status code [manifests n1]: 429 Too Many Requests", "retries"),
    (f"{V2}unexpected status from HEAD request to https://{H}/v2/a/manifests/1: 429 Too Many Requests", "retries"),
    (f"{V2}unexpected status from HEAD request to https://{H}/v2/a/manifests/1: 407 Proxy", "retries"),
    (f"{V2}toomanyrequests: slow down", "retries"),
    (f"{CRIO}too many requests to registry", "retries"),
    (f"{V2}{HEAD}Forbidden", "NO_PROXY"),
    (f"{V2}{HEAD}Proxy Authentication Required", "NO_PROXY"),
    (f'RegistryUnavailable: {CRIO}Get "https://{H}/v2/": Service Unavailable', "NO_PROXY"),
    (f"{V2}unexpected status from HEAD request to http://{H}/v2/a/manifests/1: 401 Unauthorized", "HTTPS"),
    (f'{CRIO}Get "http://{H}/v2/": dial tcp: refused; unauthorized: authentication required', "HTTPS"),
    (f"{V2}unexpected status from HEAD request to https://m.test/v2/a/manifests/1?ns={H}: 403 Forbidden", "itself"),
    (
        (
            f"{V2}unexpected status from HEAD request to https://m.test/v2/a/manifests/1?ns={H}: 429 Too Many Requests "
            "toomanyrequests: slow down"
        ),
        "itself",
    ),
    (f'Head "https://m.test/v2/a?ns={H}": EOF: {IMAGE}: not found', "itself"),
]


@pytest.mark.parametrize("message", ACCEPTED)
def test_a_response_over_https_implies_accepted_tls(message: str) -> None:
    assert parse_verdict(message, H) == Trusted()


@pytest.mark.parametrize(("message", "host"), SENT_ON)
def test_a_second_host_that_responded_is_named(message: str, host: str) -> None:
    assert parse_verdict(message, H) == Trusted(second_host=host)


@pytest.mark.parametrize(("message", "what_to_do"), NO_PROOF)
def test_possible_responses_of_other_hosts_are_finally_unclear_with_a_next_step(message: str, what_to_do: str) -> None:
    result = parse_verdict(message, H)
    assert isinstance(result, Unclear)
    assert result.is_final
    assert what_to_do in result.detail


@pytest.mark.parametrize("host", ["localhost:5000", "localhost", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"])
@pytest.mark.parametrize("message", ACCEPTED)
def test_a_registry_on_localhost_proves_nothing(message: str, host: str) -> None:
    result = parse_verdict(message.replace(H, host), host)
    assert isinstance(result, Unclear)
    assert "localhost" in result.detail
    assert accepted_verdict(host, pulled=True) == result


def test_the_time_for_a_verdict_grows_at_most_linearly_and_is_bounded() -> None:
    """Twice the text takes about twice the steps; text above the limit is cut."""
    hostile = 'failed to authorize: unexpected status from HEAD request to https://a/v2/: Get "https://a/": '

    def seconds(length: int) -> float:
        text = (hostile * (length // len(hostile) + 1))[:length]
        began = time.process_time()
        parse_verdict(text, H)
        return time.process_time() - began

    assert seconds(2_000_000) < 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"tls: failed to verify certificate: {UNKNOWN}", RefusalReason.UNKNOWN_AUTHORITY),
        (
            (
                f'{UNKNOWN} (possibly because of "x509: certificate has expired" while trying to verify candidate '
                'authority certificate "Lab Root CA")'
            ),
            RefusalReason.UNKNOWN_AUTHORITY,
        ),
        (
            (
                "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time "
                "2026-11-22T18:32:53Z is after 2026-11-21T18:27:04Z"
            ),
            RefusalReason.EXPIRED,
        ),
        (
            (
                "x509: certificate has expired or is not yet valid: current time 2026-11-22T18:33:34Z is before "
                "2026-11-24T18:27:04Z"
            ),
            RefusalReason.NOT_YET_VALID,
        ),
        ("x509: certificate is valid for other.example.com, not registry.corp.test", RefusalReason.NAME_MISMATCH),
        ("x509: certificate is valid for 120 names, but none matched registry.corp.test", RefusalReason.NAME_MISMATCH),
        (
            "x509: certificate is not valid for any names, but wanted to match registry.corp.test",
            RefusalReason.NAME_MISMATCH,
        ),
        (
            "x509: cannot validate certificate for 192.0.2.1 because it doesn't contain any IP SANs",
            RefusalReason.NAME_MISMATCH,
        ),
        ("x509: certificate relies on legacy Common Name field, use SANs instead", RefusalReason.NAME_MISMATCH),
        ("x509: certificate specifies an incompatible key usage", RefusalReason.INVALID_CHAIN),
        ("x509: too many intermediates for path length constraint", RefusalReason.INVALID_CHAIN),
        ("tls: failed to parse certificate from server: x509: negative serial number", RefusalReason.INVALID_CHAIN),
    ],
)
@pytest.mark.parametrize(
    "before", [V1 + HEAD, V2 + HEAD, f'{CRIO}Get "https://{H}/v2/": ', f"{CRIO}Get https://{H}/v2/: "]
)
def test_x509_errors_are_refusals_with_their_reasons(before: str, text: str, reason: RefusalReason) -> None:
    result = parse_verdict(before + text, H)
    assert isinstance(result, NotTrusted)
    assert (result.reason, result.host) == (reason, H)
    assert result.detail == text[text.index("x509: ") :]


@pytest.mark.parametrize(
    "text",
    [
        "dial tcp 192.0.2.10:5000: connect: connection refused",
        "dial tcp 192.0.2.10:5000: i/o timeout",
        "dial tcp: lookup registry.corp.test on 127.0.0.53:53: no such host",
        "dial tcp: lookup registry.corp.test on 127.0.0.1:53: server misbehaving",
        "dial tcp [2001:db8::1]:5000: connect: no route to host",
        "net/http: TLS handshake timeout",
        "read tcp 192.0.2.1:36244->192.0.2.10:5000: read: connection reset by peer",
        "EOF",
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        "proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
        f"proxyconnect tcp: tls: failed to verify certificate: {UNKNOWN}",
    ],
)
def test_failures_before_tls_prove_nothing_about_trust(text: str) -> None:
    assert isinstance(parse_verdict(V2 + HEAD + text, H), Unreachable)
    assert isinstance(parse_verdict(f'RegistryUnavailable: {CRIO}Get "https://{H}/v2/": {text}', H), Unreachable)


@pytest.mark.parametrize(
    "message",
    [
        f'Back-off pulling image "{IMAGE}"',
        f"{V2}{HEAD}http: server gave HTTP response to HTTPS client",
        f"{V2}{HEAD}tls: first record does not look like a TLS handshake",
        f"{V2}{HEAD}remote error: tls: protocol version not supported",
        f"{V2}{HEAD}remote error: tls: certificate required",
        f"{V2}no resolve hosts: not found",
        f"{FAILED}unable to initialize unpacker: snapshotter not loaded: not found",
        f'failed to do request: Head "http://{H}/v2/trustplane/probe/manifests/n1": dial tcp: connection refused',
        f"unexpected status from HEAD request to http://{H}/v2/trustplane/probe/manifests/n1: 401 Unauthorized",
        f'failed to do request: Head "https://mirror.test/v2/trustplane/probe/manifests/n1?ns={H}": {UNKNOWN}',
        f'{V2}failed to do request: Head "https://{H}/v2/x/manifests/n1?ns=docker.io": {UNKNOWN}',
        (
            f'failed to pull image "{IMAGE}": rpc error: code = Unavailable desc = connection error: desc = '
            '"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused"'
        ),
        'failed to pull and unpack image "other.test/a:1": failed to resolve image: other.test/a:1: not found',
        f'failed to do request: Head "https://registry.corp.test/v2/a/manifests/1": {UNKNOWN}',
        f"failed to resolve image: x{IMAGE}: not found",
        f"open /etc/x: permission denied: {IMAGE}",
        "",
    ],
)
def test_other_messages_are_unclear(message: str) -> None:
    assert isinstance(parse_verdict(message, H), Unclear)


@pytest.mark.parametrize(
    "message",
    [
        f'{V1}failed to authorize: failed to fetch anonymous token: Get "{TOKEN}": {UNKNOWN}',
        f'{V2}failed to authorize: failed to fetch oauth token: Post "https://tok.test:5052/token": {UNKNOWN}',
        f'initializing source docker://{IMAGE}: Get "{TOKEN}": {UNKNOWN}',
        (
            f"{FAILED}failed to copy: httpReadSeeker: failed open: failed to do request: "
            f'Get "https://tok.test:5052/blob/1": {UNKNOWN}'
        ),
    ],
)
def test_a_second_host_that_the_registry_needs_is_named(message: str) -> None:
    assert parse_verdict(message, H) == NotTrusted(RefusalReason.UNKNOWN_AUTHORITY, UNKNOWN, "tok.test:5052")


@pytest.mark.parametrize("text", ["unable to load CA cert", "unable to read CA cert"])
def test_an_unusable_ca_file_of_the_node_is_a_refusal(text: str) -> None:
    result = parse_verdict(f'{V2}{text} "/etc/containerd/certs.d/{H}/ca.crt": open: no such file', H)
    assert isinstance(result, NotTrusted)
    assert result.reason == RefusalReason.CA_FILE


def test_the_registrys_own_attempt_over_https_counts_among_several() -> None:
    https, http = (
        f'Get "https://{H}/v2/": {UNKNOWN}',
        f'Get "http://{H}/v2/": dial tcp 192.0.2.1:80: connection refused',
    )
    assert parse_verdict(f"{CRIO}{https}; {http}", H) == NotTrusted(RefusalReason.UNKNOWN_AUTHORITY, f"{UNKNOWN};", H)
    mirror = f'Get "https://m.test/v2/": {UNKNOWN}'
    refused = f'Get "https://{H}/v2/": dial tcp 192.0.2.10:5000: connect: connection refused'
    assert isinstance(parse_verdict(f"{CRIO}{mirror}; {refused}", H), Unreachable)


def test_the_default_port_is_the_same_host() -> None:
    message = f'failed to do request: Head "https://corp.test:443/v2/a/manifests/1": {UNKNOWN}'
    assert isinstance(parse_verdict(message, "corp.test"), NotTrusted)
    assert isinstance(parse_verdict(message.replace(":443", ""), "corp.test:443"), NotTrusted)
    assert isinstance(parse_verdict(message.replace("corp.test:443", "registry-1.docker.io"), "docker.io"), NotTrusted)


def test_details_are_short_and_in_one_line() -> None:
    result = parse_verdict(f"{V2}{HEAD}x509: certificate is valid for {'a.test, ' * 200}\nnot {H}", H)
    assert isinstance(result, NotTrusted)
    assert len(result.detail) <= 300
    assert "\n" not in result.detail


def summary(result: ProofVerdict) -> tuple[type, str]:
    return type(result), result.reason if isinstance(result, NotTrusted) else ""


@given(
    st.sampled_from(
        [
            *ACCEPTED,
            *(text for text, _ in NO_PROOF),
            V2 + HEAD + UNKNOWN,
            V2 + HEAD + "EOF",
            V1 + HEAD + "tls: handshake failure",
        ]
    )
)
def test_the_kubelets_framing_of_a_message_changes_nothing(message: str) -> None:
    around = (
        message,
        f'Failed to pull image "{IMAGE}": {message}',
        f'Back-off pulling image "{IMAGE}": ErrImagePull: {message}',
        message.replace('"', '\\"'),
    )
    assert len({summary(parse_verdict(message, H)) for message in around}) == 1


@given(st.text(max_size=200), st.sampled_from([V2 + HEAD, CRIO, ""]), st.text(max_size=60))
def test_any_text_gets_a_verdict(text: str, before: str, host: str) -> None:
    assert parse_verdict(before + text, host or H) is not None


@given(
    host=st.from_regex(re.compile(r"[a-z]{1,10}\.(org|net)(:[1-9][0-9]{1,3})?"), fullmatch=True),
    text=st.sampled_from([UNKNOWN, "EOF", "x509: certificate has expired or is not yet valid: a is after b"]),
)
def test_attempts_at_other_hosts_never_count(host: str, text: str) -> None:
    assert isinstance(
        parse_verdict(f'failed to do request: Head "https://{host}/v2/a/manifests/1": {text}', H), Unclear
    )
    assert isinstance(parse_verdict(f'"{host}/a:1": failed to resolve image: {host}/a:1: not found', H), Unclear)


CORPUS = Path(__file__).parents[1] / "diagnosis" / "pull-errors.json"
_REFUSED = {"issuer-not-trusted", "self-signed-server", "token-service-untrusted", "certificate-expired"}
_REFUSED |= {"certificate-not-yet-valid", "name-mismatch", "no-subject-alt-name", "ca-not-a-ca", "weak-certificate"}
_REFUSED |= {"wrong-key-usage", "ca-file-malformed", "ca-file-unreadable"}
_ACCEPTED = {"auth-missing", "access-denied", "image-not-found", "registry-error", "digest-mismatch"}
_ACCEPTED |= {"manifest-unsupported"}
_NETWORK = {"connection-refused", "connection-timeout", "connection-reset", "connection-closed", "dns-not-found"}
_NETWORK |= {"dns-failure", "network-unreachable", "tls-timeout"}


def cases() -> list[tuple[str, str, str]]:
    recorded = json.loads(CORPUS.read_text()).values()
    return [(pull["cause"], pull["host"], one) for pull in recorded for one in pull["messages"].values() if one]


@pytest.mark.parametrize(("cause", "host", "message"), cases())
def test_recorded_pulls_get_the_verdict_of_their_cause(cause: str, host: str, message: str) -> None:
    result = parse_verdict(message, host)
    assert isinstance(result, NotTrusted) == (cause in _REFUSED)
    assert isinstance(result, Unreachable) == (cause in _NETWORK)
    assert isinstance(result, Trusted) or cause not in _ACCEPTED
    assert isinstance(result, Unclear) or cause != "rate-limited"
