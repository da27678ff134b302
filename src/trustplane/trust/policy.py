"""Policies that users set by annotations: propagation, merging of lists, update strategy, and update requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from trustplane.api import annotations
from trustplane.certificates.finding import Finding, Severity
from trustplane.trust.recorded import parse_time

__all__ = [
    "APPEND",
    "AUTOMATIC",
    "IN_PLACE_STRATEGY",
    "ON_NEXT_UPDATE",
    "OVERRIDE",
    "REPLACE_STRATEGY",
    "Policy",
    "read_policy",
]

ON_NEXT_UPDATE, AUTOMATIC = "OnNextUpdate", "Automatic"
OVERRIDE, APPEND = "Override", "Append"
IN_PLACE_STRATEGY, REPLACE_STRATEGY = "InPlace", "Replace"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The policies of one cluster."""

    propagation: str = ON_NEXT_UPDATE
    merge: str = OVERRIDE
    update_strategy: str = IN_PLACE_STRATEGY
    requests: tuple[datetime, ...] = ()  # times of the update requests, with time zones
    findings: tuple[Finding, ...] = ()  # warnings about invalid values

    def due_request(self, now: datetime) -> datetime | None:
        """Return the time of the latest request that has come; None without one."""
        return max((at for at in self.requests if at <= now), default=None)

    def scheduled_request(self, now: datetime) -> datetime | None:
        """Return the time of the first request in the future; None without one."""
        return min((at for at in self.requests if at > now), default=None)


def read_policy(*nearest_first: Mapping[str, str]) -> Policy:
    """Read the policies from annotations, those of the nearest object first.

    The nearest object that sets a policy decides it. Update requests of all objects count: a request to all clusters,
    on the TkgServiceConfiguration, also reaches a cluster with a request of its own. An invalid value is replaced by
    the default.
    """
    findings: list[Finding] = []
    return Policy(
        propagation=_choice(nearest_first, annotations.PROPAGATION, (ON_NEXT_UPDATE, AUTOMATIC), findings),
        merge=_choice(nearest_first, annotations.TRUST_MERGE, (OVERRIDE, APPEND), findings),
        update_strategy=_choice(
            nearest_first, annotations.UPDATE_STRATEGY, (IN_PLACE_STRATEGY, REPLACE_STRATEGY), findings
        ),
        requests=_requests(nearest_first, findings),
        findings=tuple(findings),
    )


def _choice(
    nearest_first: tuple[Mapping[str, str], ...], name: str, choices: tuple[str, ...], findings: list[Finding]
) -> str:
    value = next((values[name] for values in nearest_first if name in values), choices[0])
    if value in choices:
        return value
    findings.append(
        Finding(
            code="unknown-policy",
            severity=Severity.WARNING,
            what=f"Annotation {name} has an unknown value",
            why=f"It must be one of {', '.join(choices)}; {choices[0]} is used instead",
            next_step="Correct or remove the annotation",
        )
    )
    return choices[0]


def _requests(nearest_first: tuple[Mapping[str, str], ...], findings: list[Finding]) -> tuple[datetime, ...]:
    name = annotations.UPDATE_REQUESTED_AT
    times = [parse_time(values[name]) for values in nearest_first if name in values]
    if None in times:
        findings.append(BAD_REQUEST_TIME)
    return tuple(time for time in times if time)


BAD_REQUEST_TIME = Finding(
    code="bad-request-time",
    severity=Severity.WARNING,
    what=f"Annotation {annotations.UPDATE_REQUESTED_AT} is not a time and is ignored",
    why="It must be an RFC 3339 time with a time zone, such as 2026-01-31T12:00:00Z",
    next_step="Use `trustplane update CLUSTER`, or write the output of `date -u +%Y-%m-%dT%H:%M:%SZ`",
)
