"""The two trust lists, read from their objects: the service's list and a cluster's own list. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from trustplane.api.annotations import ALLOW_REMOVAL, REGISTRY_SCOPE, TRUST_MERGE
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.configuration import TkgServiceConfiguration
from trustplane.certificates.finding import Finding, Severity, error
from trustplane.trust import scope
from trustplane.trust.entries import ParsedList, TrustSet, describe_entry
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import OVERRIDE
from trustplane.trust.removal import REMOVAL_ALLOWED, allows_removal

MISSING_LIST: Final = "list-left-out"
_WHERE: Final = "spec.trust"
_SHOWN: Final = 5  # entries in a message


@dataclass(frozen=True)
class LastGoodList:
    """The last good list of the service, and its merge policy at that time."""

    trust: TrustSet | None  # None: a record exists but is unreadable
    merge: str = ""  # the service's policy `trust-merge`; empty without one


def parse_service_list(configuration: TkgServiceConfiguration | None, last_good: LastGoodList | None) -> ParsedList:
    """Read the service's list.

    A missing list is not an empty list: an object that was deleted and created again has no list. The last good list
    replaces it until the user writes a list or allows the removal.

    Args:
        configuration: The object; None if it does not exist.
        last_good: The recorded list; None if none was ever recorded.
    """
    reading = _read_service_list(configuration)
    if not reading.is_valid or last_good is None or not is_list_missing(configuration):
        return reading
    if last_good.trust is None:
        return ParsedList(findings=(UNREADABLE_LAST_GOOD_LIST.at(_WHERE),))
    return ParsedList(last_good.trust, (_kept(last_good.trust).at(_WHERE),)) if last_good.trust else reading


def service_policy_annotations(
    configuration: TkgServiceConfiguration | None, last_good: LastGoodList | None
) -> Mapping[str, str]:
    """Return the annotations that set the service's policies; the last good list keeps its merge policy."""
    annotations = configuration.metadata.annotations if configuration else {}
    if last_good is None or not last_good.merge or not is_list_missing(configuration):
        return annotations
    return {TRUST_MERGE: last_good.merge, **annotations}


def last_good_list_to_record(
    configuration: TkgServiceConfiguration, last_good: LastGoodList | None
) -> LastGoodList | None:
    """Return the list to record as the last good one; None if the list has errors or is already recorded."""
    reading = parse_service_list(configuration, last_good)
    merge = service_policy_annotations(configuration, last_good).get(TRUST_MERGE, "")
    current = LastGoodList(reading.trust, merge)
    return current if reading.is_valid and current != last_good else None


def is_list_missing(configuration: TkgServiceConfiguration | None) -> bool:
    """Return whether the object has no list, and no annotation that allows the removal."""
    return configuration is None or (
        configuration.spec.trust is None and not allows_removal(configuration.metadata.annotations)
    )


class _HasFindings(Protocol):
    @property
    def findings(self) -> tuple[Finding, ...]: ...


def uses_last_good_list(result: _HasFindings) -> bool:
    """Return whether the last good list replaces a missing one in a parsed list or a decision."""
    return any(finding.code == MISSING_LIST for finding in result.findings)


def parse_own_list(tkc: TanzuKubernetesCluster) -> ParsedList | None:
    """Read a cluster's own list; None without one.

    Scopes without a list make a broken list, which leaves the set in force unchanged.
    """
    listed, annotations = tkc.spec.own_trust, tkc.metadata.annotations
    where = "spec.settings.network.trust.additionalTrustedCAs"
    if listed is not None:
        return scope.parse_scoped_list(listed, annotations, where=where)
    reading = scope.parse_scoped_list([], annotations, where=where) if REGISTRY_SCOPE in annotations else ParsedList()
    return None if reading.is_valid else reading


def _read_service_list(configuration: TkgServiceConfiguration | None) -> ParsedList:
    if configuration is None:
        return ParsedList()
    where = f"{_WHERE}.additionalTrustedCAs"
    reading = scope.parse_scoped_list(configuration.spec.trusted_cas, configuration.metadata.annotations, where=where)
    return merge_lists(reading, None, OVERRIDE)


def _kept(trust: TrustSet) -> Finding:
    names = ", ".join(describe_entry(entry) for entry in trust.entries[:_SHOWN])
    more = f" and {len(trust) - _SHOWN} more" if len(trust) > _SHOWN else ""
    return Finding(
        code=MISSING_LIST,
        severity=Severity.WARNING,
        what=f"The service's list is missing, so the last good list stays in use: {names}{more}",
        why="The object was deleted and created again, or written without a list; "
        "neither means that clusters should trust no CA",
        next_step="Apply the list again. If clusters must trust none of these CAs, set "
        f'{ALLOW_REMOVAL}: "{REMOVAL_ALLOWED}"',
    )


UNREADABLE_LAST_GOOD_LIST = error(
    "last-good-unreadable",
    "The service's list is missing, and the last good list is unreadable",
    "The Secret that stores the last good list was changed",
    f'Apply the list again. If clusters must trust no additional CA, set {ALLOW_REMOVAL}: "{REMOVAL_ALLOWED}"',
)
