"""What registries answer, as runtimes hand it on: error codes of the OCI distribution specification, and habits.

The words of registries: Docker Hub, Harbor, Quay, GHCR, GitLab, Artifactory, ECR, Artifact Registry (GAR), ACR.
"""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

MISSING, REJECTED = Code.AUTH_MISSING, Code.AUTH_REJECTED
DENIED, NOT_FOUND = Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND

# A registry that hides what is private answers these alike.
HIDDEN_OR_ABSENT: Final = (MISSING, DENIED, NOT_FOUND)
_MEDIUM: Final = Confidence.MEDIUM

_CREDENTIALS: Final = (
    Phrase("no basic auth credentials", (MISSING,), "the runtime had no credentials for this host"),
    Phrase("failed to handle basic auth because missing username", (MISSING,), "the runtime had no credentials"),
    *(
        Phrase(f"{prefix}{words}", (REJECTED,), "the registry names the credentials as wrong")
        for prefix in ("unauthorized: ", "")
        for words in (
            "incorrect username or password",
            "invalid username or password",
            "invalid user credentials",
            "wrong username was used",
            "bad credentials",
            "BAD_CREDENTIAL",
            "could not find robot",
            "HTTP Basic: Access denied",
            "personal access token",
            "your account must log in",
            "email must be verified",
            "authentication failed",
        )
    ),
    Phrase("server message: insufficient_scope", HIDDEN_OR_ABSENT, "the token does not allow this repository"),
    Phrase(
        "server message: invalid_token",
        (Code.TOKEN_SERVICE_BROKEN, REJECTED),
        "the registry does not accept the token that it had asked for",
    ),
)

_UNAUTHORIZED: Final = (
    Phrase("unauthorized: project <text> not found", (NOT_FOUND,), "Harbor says so", _MEDIUM),
    Phrase("unauthorized: unauthorized to access repository", (MISSING, DENIED, REJECTED, NOT_FOUND), "Harbor's habit"),
    Phrase(
        "unauthorized: access to the requested resource is not authorized",
        (MISSING, DENIED, NOT_FOUND, REJECTED),
        "the habit of Quay and Nexus",
    ),
    Phrase("unauthorized: The client does not have permission", (DENIED, MISSING), "Artifactory's habit"),
    Phrase("unauthorized: You don't have the needed permissions", (MISSING, REJECTED, DENIED), "Google's habit"),
    Phrase("unauthorized<end>", (MISSING, REJECTED), "the words do not say whether credentials were used"),
    Phrase("unauthorized", (MISSING, REJECTED, DENIED), "the registry does not say why"),
    Phrase("authentication required", (MISSING, REJECTED, DENIED), "the registry does not say why"),
)

_DENIED: Final = (
    Phrase("denied: requested access to the resource is denied", HIDDEN_OR_ABSENT, "what is private is hidden so, too"),
    Phrase("requested access to the resource is denied", HIDDEN_OR_ABSENT, "what is private is hidden so, too"),
    Phrase("does not exist or no pull access", HIDDEN_OR_ABSENT, "what is private is hidden so, too"),
    Phrase("denied: Unauthenticated request", (MISSING,), "the registry says that no credentials came"),
    Phrase("denied: Anonymous users", (MISSING,), "the registry says that no credentials came"),
    Phrase("denied: Your authorization token has expired", (REJECTED,), "ECR's tokens last for 12 hours"),
    Phrase("denied: User: <text> is not authorized to perform", (DENIED,), "ECR names the user"),
    Phrase("denied: Permission ", (DENIED, NOT_FOUND, MISSING), "Google answers so for what does not exist, too"),
    Phrase("denied: access forbidden", (DENIED, MISSING, REJECTED), "GitLab's habit"),
    Phrase("denied: denied", (DENIED, MISSING, REJECTED), "GHCR's habit"),
    Phrase("unknown: <text>cannot be pulled due to configured policy", (DENIED,), "Harbor's words for its policies"),
    Phrase("cannot be pulled due to configured policy", (DENIED,), "Harbor's words for its policies"),
    Phrase("denied: client with IP", (DENIED,), "ACR's firewall"),
    Phrase("denied: permission_denied: ", (DENIED, MISSING), "GHCR's habit"),
    Phrase("denied<end>", (DENIED,), "the registry understood the request and refuses it", _MEDIUM),
    Phrase("denied: ", (DENIED, MISSING, REJECTED), "the registry does not say who was denied", _MEDIUM),
    Phrase("insufficient_scope", HIDDEN_OR_ABSENT, "the token does not allow this repository"),
)

_LIMITS: Final = (
    Phrase("toomanyrequests", (Code.RATE_LIMITED,), "the registry says so"),
    Phrase("too many requests", (Code.RATE_LIMITED,), "the registry says so"),
    Phrase("You have reached your <text>pull rate limit", (Code.RATE_LIMITED,), "Docker Hub says so"),
)

_ABSENT: Final = (
    Phrase("manifest unknown", (NOT_FOUND,), "the registry says so"),
    Phrase("image manifest does not exist for tag or digest", (NOT_FOUND,), "the registry says so"),
    Phrase("name unknown", (NOT_FOUND,), "the registry says so"),
    Phrase("repository name not known to registry", (NOT_FOUND,), "the registry says so"),
    Phrase("unknown: repository <text> not found", (NOT_FOUND,), "Harbor says so"),
    Phrase("unknown: artifact <text> not found", (NOT_FOUND,), "Harbor says so"),
    Phrase("artifact <text> not found", (NOT_FOUND,), "Harbor says so"),
    Phrase("tag invalid", (NOT_FOUND, Code.INVALID_IMAGE_NAME), "the registry does not take this tag"),
    Phrase("name invalid", (Code.INVALID_IMAGE_NAME, NOT_FOUND), "the registry does not take this name"),
    Phrase("invalid repository name", (Code.INVALID_IMAGE_NAME, NOT_FOUND), "the registry does not take this name"),
    Phrase("invalid tag name", (Code.INVALID_IMAGE_NAME, NOT_FOUND), "the registry does not take this tag"),
    Phrase("blob unknown", (Code.BLOB_MISSING,), "the registry says so"),
    Phrase("unknown blob", (Code.BLOB_MISSING,), "the registry says so"),
)

_PAGES: Final = (
    Phrase("<!doctype html", (Code.NOT_A_REGISTRY,), "a web page came where a registry answers in JSON"),
    Phrase("<html", (Code.NOT_A_REGISTRY,), "a web page came where a registry answers in JSON"),
    Phrase("can't talk to a V1 container registry", (Code.NOT_A_REGISTRY,), "there is no /v2/ at this host", _MEDIUM),
)

_TOKEN: Final = tuple(
    Phrase(words, (Code.TOKEN_SERVICE_BROKEN,), "what came from the token service is no token")
    for words in (
        "authorization server did not include a token",
        "no realm specified for token auth challenge",
        "invalid token auth challenge realm",
        "missing realm in bearer auth challenge",
        "unable to decode token response",
        "decoding bearer token",
        "token auth attempt for registry",
        "error decoding token response",
    )
)

_ERRORS: Final = (
    Phrase("unavailable: ", (Code.REGISTRY_ERROR,), "the registry says so"),
    Phrase('unknown: <method> "', (Code.REGISTRY_ERROR,), "the registry's own request to another host failed", _MEDIUM),
    Phrase("unknown: ", (Code.REGISTRY_ERROR, NOT_FOUND), "the registry answers, with a fault of its own"),
    Phrase("unsupported: ", (Code.REGISTRY_ERROR,), "the registry does not support what was asked", _MEDIUM),
)

ANSWERS: Final = Vocabulary(
    Kind.ANSWER,
    (*_CREDENTIALS, *_UNAUTHORIZED, *_DENIED, *_LIMITS, *_ABSENT, *_PAGES, *_TOKEN, *_ERRORS),
)
