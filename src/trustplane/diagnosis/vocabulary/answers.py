"""Registries' answers as runtimes report them: error codes of the OCI distribution specification, and product texts.

Covers Docker Hub, Harbor, Quay, GHCR, GitLab, Artifactory, ECR, Artifact Registry (GAR) and ACR.
"""

from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary

MISSING, REJECTED = Code.AUTH_MISSING, Code.AUTH_REJECTED
DENIED, NOT_FOUND = Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND

# A registry that hides private repositories gives the same answer for all of these.
HIDDEN_OR_ABSENT: Final = (MISSING, DENIED, NOT_FOUND)
_MEDIUM: Final = Confidence.MEDIUM
_REPORTED: Final = "the registry reports it"
_NO_REASON: Final = "the registry gives no reason"
_HIDDEN: Final = "the registry gives the same answer to hide private repositories"
_SCOPE: Final = "the token does not grant access to this repository"

_CREDENTIALS: Final = (
    Phrase("no basic auth credentials", (MISSING,), "the runtime had no credentials for this host"),
    Phrase("failed to handle basic auth because missing username", (MISSING,), "the runtime had no credentials"),
    *(
        Phrase(f"{prefix}{text}", (REJECTED,), "the registry reports wrong credentials")
        for prefix in ("unauthorized: ", "")
        for text in (
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
    Phrase("server message: insufficient_scope", HIDDEN_OR_ABSENT, _SCOPE),
    Phrase(
        "server message: invalid_token",
        (Code.TOKEN_SERVICE_BROKEN, REJECTED),
        "the registry rejects a token from its own token service",
    ),
)

_UNAUTHORIZED: Final = (
    Phrase("unauthorized: project <text> not found", (NOT_FOUND,), "Harbor reports it", _MEDIUM),
    Phrase(
        "unauthorized: unauthorized to access repository",
        (MISSING, DENIED, REJECTED, NOT_FOUND),
        "Harbor gives this answer for all of these",
    ),
    Phrase(
        "unauthorized: access to the requested resource is not authorized",
        (MISSING, DENIED, NOT_FOUND, REJECTED),
        "Quay and Nexus give this answer for all of these",
    ),
    Phrase(
        "unauthorized: The client does not have permission", (DENIED, MISSING), "Artifactory gives this answer for both"
    ),
    Phrase(
        "unauthorized: You don't have the needed permissions",
        (MISSING, REJECTED, DENIED),
        "Google gives this answer for all of these",
    ),
    Phrase(
        "unauthorized: Requested repository does not match bearer token",
        (Code.TOKEN_SERVICE_BROKEN, REJECTED),
        "the registry rejects a token from its own token service",
    ),
    Phrase("unauthorized<end>", (MISSING, REJECTED), "the message does not say whether credentials were used"),
    Phrase("unauthorized", (MISSING, REJECTED, DENIED), _NO_REASON),
    Phrase("authentication required", (MISSING, REJECTED, DENIED), _NO_REASON),
)

_DENIED: Final = (
    Phrase("denied: requested access to the resource is denied", HIDDEN_OR_ABSENT, _HIDDEN),
    Phrase("requested access to the resource is denied", HIDDEN_OR_ABSENT, _HIDDEN),
    Phrase("does not exist or no pull access", HIDDEN_OR_ABSENT, _HIDDEN),
    Phrase("denied: Unauthenticated request", (MISSING,), "the registry reports a request without credentials"),
    Phrase("denied: Anonymous users", (MISSING,), "the registry reports a request without credentials"),
    Phrase("denied: Your authorization token has expired", (REJECTED,), "ECR tokens expire after 12 hours"),
    Phrase("denied: User: <text> is not authorized to perform", (DENIED,), "ECR names the user that it denies"),
    Phrase("denied: Permission ", (DENIED, NOT_FOUND, MISSING), "Google gives the same answer for a missing image"),
    Phrase("denied: access forbidden", (DENIED, MISSING, REJECTED), "GitLab gives this answer for all of these"),
    Phrase("denied: denied", (DENIED, MISSING, REJECTED), "GHCR gives this answer for all of these"),
    Phrase(
        "unknown: <text>cannot be pulled due to configured policy",
        (DENIED,),
        "Harbor reports that a policy blocks the pull",
    ),
    Phrase("cannot be pulled due to configured policy", (DENIED,), "Harbor reports that a policy blocks the pull"),
    Phrase("denied: client with IP", (DENIED,), "ACR's firewall blocks the client"),
    Phrase("denied: permission_denied: ", (DENIED, MISSING), "GHCR gives this answer for both"),
    Phrase("denied<end>", (DENIED,), "the registry understands the request and refuses it", _MEDIUM),
    Phrase("denied: ", (DENIED, MISSING, REJECTED), "the registry does not say who was denied", _MEDIUM),
    Phrase("insufficient_scope", HIDDEN_OR_ABSENT, _SCOPE),
)

_LIMITS: Final = (
    Phrase("toomanyrequests", (Code.RATE_LIMITED,), _REPORTED),
    Phrase("too many requests", (Code.RATE_LIMITED,), _REPORTED),
    Phrase("You have reached your <text>pull rate limit", (Code.RATE_LIMITED,), "Docker Hub reports it"),
)

_ABSENT: Final = (
    Phrase("manifest unknown", (NOT_FOUND,), _REPORTED),
    Phrase("image manifest does not exist for tag or digest", (NOT_FOUND,), _REPORTED),
    Phrase("name unknown", (NOT_FOUND,), _REPORTED),
    Phrase("repository name not known to registry", (NOT_FOUND,), _REPORTED),
    Phrase("unknown: Project <text> not found or deleted", (NOT_FOUND,), "Google reports it"),
    Phrase("unknown: repository <text> not found", (NOT_FOUND,), "Harbor reports it"),
    Phrase("unknown: artifact <text> not found", (NOT_FOUND,), "Harbor reports it"),
    Phrase("artifact <text> not found", (NOT_FOUND,), "Harbor reports it"),
    Phrase("tag invalid", (NOT_FOUND, Code.INVALID_IMAGE_NAME), "the registry rejects this tag"),
    Phrase("name invalid", (Code.INVALID_IMAGE_NAME, NOT_FOUND), "the registry rejects this name"),
    Phrase("invalid repository name", (Code.INVALID_IMAGE_NAME, NOT_FOUND), "the registry rejects this name"),
    Phrase("invalid tag name", (Code.INVALID_IMAGE_NAME, NOT_FOUND), "the registry rejects this tag"),
    Phrase("blob unknown", (Code.BLOB_MISSING,), _REPORTED),
    Phrase("unknown blob", (Code.BLOB_MISSING,), _REPORTED),
)

_PAGES: Final = (
    Phrase("<!doctype html", (Code.NOT_A_REGISTRY,), "the server sent a web page instead of a registry's JSON"),
    Phrase("<html", (Code.NOT_A_REGISTRY,), "the server sent a web page instead of a registry's JSON"),
    Phrase("can't talk to a V1 container registry", (Code.NOT_A_REGISTRY,), "the host has no /v2/", _MEDIUM),
)

_TOKEN: Final = tuple(
    Phrase(text, (Code.TOKEN_SERVICE_BROKEN,), "the runtime got no usable token")
    for text in (
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
    Phrase("unavailable: ", (Code.REGISTRY_ERROR,), _REPORTED),
    Phrase('unknown: <method> "', (Code.REGISTRY_ERROR,), "the registry's own request to another host failed", _MEDIUM),
    Phrase("unknown: ", (Code.REGISTRY_ERROR, NOT_FOUND), "the registry reports an error without a specific code"),
    Phrase("unsupported: ", (Code.REGISTRY_ERROR,), "the registry does not support the request", _MEDIUM),
)

ANSWERS: Final = Vocabulary(
    Kind.ANSWER,
    (*_CREDENTIALS, *_UNAUTHORIZED, *_DENIED, *_LIMITS, *_ABSENT, *_PAGES, *_TOKEN, *_ERRORS),
)
