"""The two trust lists, as the objects that have them say: the service's, and a cluster's own. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from trustplane.api.annotations import ALLOW_REMOVAL, REGISTRY_SCOPE, TRUST_MERGE
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.configuration import TkgServiceConfiguration
from trustplane.certificates.finding import Finding, Severity, error
from trustplane.trust import scope
from trustplane.trust.effective import effective
from trustplane.trust.entries import Reading, TrustSet, described
from trustplane.trust.policy import OVERRIDE
from trustplane.trust.removal import ALLOWED, is_allowed

LEFT_OUT: Final = "list-left-out"
_WHERE: Final = "spec.trust"
_SHOWN: Final = 5  # entries in a message


@dataclass(frozen=True)
class LastGood:
    """What the service last asked for without errors."""

    trust: TrustSet | None  # None: it was recorded, and cannot be read any more
    merge: str = ""  # the service's policy `trust-merge`; empty where it had none


def service(configuration: TkgServiceConfiguration | None, last_good: LastGood | None) -> Reading:
    """Read the service's list.

    A list that is left out is not an empty list: that is how the object looks after it was deleted and made again. The
    last good list counts in its place, until somebody writes a list or says that the removal is meant.

    Args:
        configuration: The object; None where it is absent.
        last_good: What it last asked for; None where nothing was ever recorded.
    """
    reading = _listed(configuration)
    if not reading.ok or last_good is None or not is_left_out(configuration):
        return reading
    if last_good.trust is None:
        return Reading(findings=(UNREADABLE.at(_WHERE),))
    return Reading(last_good.trust, (_kept(last_good.trust).at(_WHERE),)) if last_good.trust else reading


def service_policies(configuration: TkgServiceConfiguration | None, last_good: LastGood | None) -> Mapping[str, str]:
    """Return the annotations that set the service's policies: with a list that is left out, how it merges stays too."""
    annotations = configuration.metadata.annotations if configuration else {}
    if last_good is None or not last_good.merge or not is_left_out(configuration):
        return annotations
    return {TRUST_MERGE: last_good.merge, **annotations}


def recorded(configuration: TkgServiceConfiguration, last_good: LastGood | None) -> LastGood | None:
    """Return what is to be recorded as the last good list; None where the list has errors or is recorded already."""
    reading = service(configuration, last_good)
    merge = service_policies(configuration, last_good).get(TRUST_MERGE, "")
    wanted = LastGood(reading.trust, merge)
    return wanted if reading.ok and wanted != last_good else None


def is_left_out(configuration: TkgServiceConfiguration | None) -> bool:
    """Tell whether the object says nothing of a list, and nobody said that this is meant."""
    return configuration is None or (
        configuration.spec.trust is None and not is_allowed(configuration.metadata.annotations)
    )


class _HasFindings(Protocol):
    @property
    def findings(self) -> tuple[Finding, ...]: ...


def is_kept(found: _HasFindings) -> bool:
    """Tell whether a reading, or a decision by it, is of the last good list in place of one that was left out."""
    return any(one.code == LEFT_OUT for one in found.findings)


def own(tkc: TanzuKubernetesCluster) -> Reading | None:
    """Read a cluster's own list; None where it has none.

    One that has none but scopes entries is read as a broken list: what it meant to scope stays as it was.
    """
    listed, annotations = tkc.spec.own_trust, tkc.metadata.annotations
    where = "spec.settings.network.trust.additionalTrustedCAs"
    if listed is not None:
        return scope.read(listed, annotations, where=where)
    reading = scope.read([], annotations, where=where) if REGISTRY_SCOPE in annotations else Reading()
    return None if reading.ok else reading


def _listed(configuration: TkgServiceConfiguration | None) -> Reading:
    if configuration is None:
        return Reading()
    where = f"{_WHERE}.additionalTrustedCAs"
    reading = scope.read(configuration.spec.trusted_cas, configuration.metadata.annotations, where=where)
    return effective(reading, None, OVERRIDE)


def _kept(trust: TrustSet) -> Finding:
    names = ", ".join(described(one) for one in trust.entries[:_SHOWN])
    more = f" and {len(trust) - _SHOWN} more" if len(trust) > _SHOWN else ""
    return Finding(
        code=LEFT_OUT,
        severity=Severity.WARNING,
        what=f"The service's list is left out, so the last good one stays in force: {names}{more}",
        why="The object was deleted and made again, or written without a list; neither says that nothing is trusted",
        next_step=f'Apply the list again. Only to have clusters trust none of it: set {ALLOW_REMOVAL}: "{ALLOWED}"',
    )


UNREADABLE = error(
    "last-good-unreadable",
    "The service's list is left out, and the last good one cannot be read",
    "Somebody changed the Secret that keeps it",
    f'Apply the list again. Only to have clusters trust none: set {ALLOW_REMOVAL}: "{ALLOWED}"',
)
