"""The rules of propagation: when does the trust set in force on a cluster change?

Rules P1 to P10 of docs/reference/propagation.md, as one pure function of what is observed. What it must remember
between calls is `Frozen`, kept in annotations of the Cluster and written in the same apply as the Cluster's variable
`trust`: both are there, or neither is, wherever a process is killed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import msgspec

from trustplane.api import annotations
from trustplane.certificates.finding import Finding, Severity
from trustplane.text import clean
from trustplane.trust import recorded
from trustplane.trust.effective import effective
from trustplane.trust.entries import EMPTY, SHORT, Difference, Reading, TrustSet, difference
from trustplane.trust.policy import AUTOMATIC, Policy
from trustplane.trust.recorded import is_digest, read_time
from trustplane.trust.removal import listing, removal, removal_findings

# Why the set in force changes now.
CREATED: Final = "Created"
REQUESTED: Final = "Requested"
FIRST_CUSTOMISATION: Final = "FirstCustomisation"
OWN_TRUST_CHANGED: Final = "OwnTrustChanged"
OTHER_UPDATE: Final = "OtherUpdate"
AUTOMATIC_PROPAGATION: Final = "Automatic"
UNDONE: Final = "Undone"
SECRET_LOST: Final = "SecretLost"  # noqa: S105  the reason's name
# Why it stays.
UP_TO_DATE: Final = "UpToDate"
HELD: Final = "Held"
INVALID: Final = "Invalid"

_CHANGE_LENGTH: Final = 600  # characters: a condition's message has more to say
_ELLIPSIS: Final = "..."
_DIGEST_LENGTH: Final = 64  # characters, also of a reason


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What a cluster last took, and what was answered by that."""

    digest: str  # of the set in force
    own_digest: str = ""  # of the cluster's own list at that time; empty where it had none
    update_digests: Mapping[str, str] = field(default_factory=dict)  # parts of the spec whose change updates nodes
    handled_at: datetime | None = None  # the latest request for an update that was answered
    first_customisation_handled: bool = False
    reason: str = CREATED  # why it was taken
    change: str = ""  # for people: what it changed, by name and fingerprint
    previous: str = ""  # digest of the set that was in force before

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Frozen | None":
        """Read it out of a Cluster's annotations; None where nothing was taken yet."""
        digest = values.get(annotations.TRUST_DIGEST)
        if not digest:
            return None
        return cls(
            # One that is none names no set, so that the cluster's is taken anew like one whose Secret was lost.
            digest=digest if is_digest(digest) else "",
            own_digest=clean(values.get(annotations.OWN_TRUST_DIGEST, ""), _DIGEST_LENGTH),
            update_digests=_read_digests(values.get(annotations.UPDATE_DIGESTS, "")),
            handled_at=read_time(values.get(annotations.UPDATE_HANDLED_AT, "")),
            first_customisation_handled=annotations.FIRST_CUSTOMISATION_HANDLED in values,
            reason=clean(values.get(annotations.TRUST_REASON, CREATED), _DIGEST_LENGTH),
            change=clean(values.get(annotations.TRUST_CHANGE, ""), _CHANGE_LENGTH + len(_ELLIPSIS)),
            previous=_digest(values.get(annotations.TRUST_PREVIOUS, "")),
        )

    def annotations(self) -> dict[str, str]:
        """Return the annotations that say the same."""
        values = {
            annotations.TRUST_DIGEST: self.digest,
            annotations.OWN_TRUST_DIGEST: self.own_digest,
            annotations.UPDATE_DIGESTS: json.dumps(dict(self.update_digests), sort_keys=True, separators=(",", ":")),
            annotations.TRUST_REASON: self.reason,
        }
        if self.change:
            values[annotations.TRUST_CHANGE] = self.change
        if self.previous:
            values[annotations.TRUST_PREVIOUS] = self.previous
        if self.handled_at:
            values[annotations.UPDATE_HANDLED_AT] = self.handled_at.isoformat()
        if self.first_customisation_handled:
            values[annotations.FIRST_CUSTOMISATION_HANDLED] = "true"
        return values


def _digest(text: str) -> str:
    return text if is_digest(text) else ""


def _read_digests(text: str) -> dict[str, str]:
    return recorded.read(text, dict[str, str]) or {}


class Pin(msgspec.Struct, frozen=True):
    """Annotation `trust-pin`: an earlier set that somebody wants back, until the next update is requested.

    Attributes:
        digest: Of that set.
        at: When that was asked for.
        allow_removal: Whether it may remove more than half of what is in force.
    """

    digest: str
    at: datetime
    allow_removal: bool = False

    @classmethod
    def read(cls, text: str, requested_at: datetime | None) -> "Pin | None":
        """Read it; None where there is none, it cannot be read, or an update was requested since."""
        found = recorded.read(text, cls)
        at = read_time(found.at.isoformat()) if found else None
        if found is None or at is None or not is_digest(found.digest):
            return None
        return None if requested_at and requested_at > at else found

    def text(self) -> str:
        """Return the annotation's value."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that a decision depends on."""

    frozen: Frozen | None  # None: the cluster has taken nothing yet
    in_force: TrustSet | None  # content of the Secret that `frozen` names; None where that Secret is gone
    service: Reading  # the service's list
    last_good: TrustSet | None  # the service's last list without errors; None where there was none
    own: Reading | None  # the cluster's own list; None where it has none
    policy: Policy
    first_customized_at: datetime | None  # when the service's configuration was first customised
    update_digests: Mapping[str, str]  # as in Frozen, of the spec as it is now
    now: datetime
    pin: Pin | None = None
    pinned: TrustSet | None = None  # the content of the set that the pin names; None where that cannot be read


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is in force from now on."""

    trust: TrustSet | None  # None: hold, there is no set that somebody wrote without errors; make no Cluster
    frozen: Frozen | None  # to be written with it; None only where `trust` is
    taken: bool  # the set in force changes by this decision
    reason: str
    current: bool  # the set in force is the one that the lists ask for
    difference: Difference  # from the set in force to the one that the lists ask for
    findings: tuple[Finding, ...] = ()
    wait_until: datetime | None = None  # when a request that is dated in the future is due

    @property
    def invalid(self) -> bool:
        """True when a list has errors, so that the last good set stays."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def decide(situation: Situation) -> Decision:
    """Apply the rules: keep the set in force, or take the one that the lists ask for."""
    wanted = effective(situation.service, situation.own, situation.policy.merge)
    in_force = _in_force(situation)
    if situation.frozen is None:
        return _take_anything(situation, wanted, CREATED)
    if situation.pin is not None:
        return _go_back(situation, situation.frozen, in_force, wanted, situation.pin)
    if in_force is None:
        return _take_anything(situation, wanted, SECRET_LOST)
    if not wanted.ok:
        return _keep(situation, situation.frozen, in_force, wanted)
    trigger = _trigger(situation, situation.frozen)
    if trigger:
        return _take(situation, wanted, trigger, before=in_force)
    return _keep(situation, situation.frozen, in_force, wanted)


def _go_back(situation: Situation, frozen: Frozen, in_force: TrustSet | None, wanted: Reading, pin: Pin) -> Decision:
    """Take the set that is pinned, and keep it, whatever the lists ask for."""
    refused = _refusal(situation, in_force, pin)
    if refused is not None and in_force is not None:
        kept = _keep(situation, frozen, in_force, wanted)
        return replace(kept, findings=(*kept.findings, refused))
    pinned = situation.pinned
    if pinned is None:
        return _take_anything(situation, wanted, SECRET_LOST)
    if in_force is not None and in_force == pinned:
        return replace(_keep(situation, frozen, in_force, wanted), reason=UNDONE)
    taken = _take(situation, Reading(pinned), UNDONE, before=in_force)
    held = difference(pinned, wanted.trust) if wanted.ok else Difference()
    findings = (*wanted.findings, *situation.policy.findings)
    return replace(taken, current=wanted.ok and not held, difference=held, findings=findings)


def _refusal(situation: Situation, in_force: TrustSet | None, pin: Pin) -> Finding | None:
    """Say why a pin is not followed; None where it is."""
    if situation.pinned is None:
        return Finding(
            code="no-previous-set",
            severity=Severity.WARNING,
            what=f"The set {pin.digest[:SHORT]}, which `trustplane undo` is to bring back, cannot be read",
            why="its Secret was deleted or replaced; the set in force stays",
            next_step="Run `trustplane update`, which takes the lists as they are, and ends the undo",
        )
    lost = removal(listing(in_force or EMPTY), listing(situation.pinned))
    return next(
        (one for one in removal_findings(lost, allowed=pin.allow_removal) if one.severity is Severity.ERROR), None
    )


def _in_force(situation: Situation) -> TrustSet | None:
    """An empty set needs no Secret, so it cannot be lost."""
    if situation.frozen and situation.frozen.digest == EMPTY.digest:
        return EMPTY
    return situation.in_force


def _trigger(situation: Situation, frozen: Frozen) -> str:
    """Name the rule by which the set is taken now; empty where none applies (P1)."""
    rules = {
        REQUESTED: _is_requested(situation, frozen),  # P2
        FIRST_CUSTOMISATION: situation.first_customized_at and not frozen.first_customisation_handled,  # P3
        OWN_TRUST_CHANGED: _own_digest(situation) != frozen.own_digest,  # P5
        OTHER_UPDATE: is_updated(frozen.update_digests, situation.update_digests),  # P4
        AUTOMATIC_PROPAGATION: situation.policy.propagation == AUTOMATIC,  # P2
    }
    return next((reason for reason, applies in rules.items() if applies), "")


def _is_requested(situation: Situation, frozen: Frozen) -> bool:
    requested = situation.policy.requested_at
    if requested is None or requested > situation.now:
        return False
    return frozen.handled_at is None or requested > frozen.handled_at


def is_updated(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Tell whether a part of the spec has changed whose change updates nodes.

    A part that comes or goes, such as a node pool, changes no node that exists.
    """
    return any(now[part] != digest for part, digest in before.items() if part in now)


def _own_digest(situation: Situation) -> str:
    return situation.own.trust.digest if situation.own else ""


def _take(situation: Situation, wanted: Reading, reason: str, *, before: TrustSet | None) -> Decision:
    taken = before is None or before != wanted.trust
    frozen = Frozen(
        digest=wanted.trust.digest,
        own_digest=_own_digest(situation),
        update_digests=situation.update_digests,
        handled_at=_handled_at(situation),
        first_customisation_handled=_is_first_customisation_handled(situation),
        reason=reason if taken or situation.frozen is None else situation.frozen.reason,
        change=_change(situation, wanted, before) if taken else situation.frozen.change if situation.frozen else "",
        previous=_previous(situation.frozen, taken=taken),
    )
    return Decision(
        trust=wanted.trust,
        frozen=frozen,
        taken=taken,
        reason=reason if taken else UP_TO_DATE,
        current=True,
        difference=Difference(),
        findings=(*wanted.findings, *situation.policy.findings),
        wait_until=_wait_until(situation),
    )


def _previous(before: Frozen | None, *, taken: bool) -> str:
    if before is None:
        return ""
    return before.digest if taken else before.previous


def _change(situation: Situation, wanted: Reading, before: TrustSet | None) -> str:
    """Return what people must know to judge the change, whatever the length of the list."""
    if situation.frozen is None:
        return ""
    text = difference(before or EMPTY, wanted.trust).text
    return text if len(text) <= _CHANGE_LENGTH else f"{text[:_CHANGE_LENGTH]}{_ELLIPSIS}"


def _handled_at(situation: Situation) -> datetime | None:
    """Whatever was requested until now is answered by taking the set."""
    requested = situation.policy.requested_at
    due = requested if requested and requested <= situation.now else None
    handled = situation.frozen.handled_at if situation.frozen else None
    return max((time for time in (due, handled) if time), default=None)


def _is_first_customisation_handled(situation: Situation) -> bool:
    handled = situation.frozen is not None and situation.frozen.first_customisation_handled
    return handled or situation.first_customized_at is not None


def _keep(situation: Situation, frozen: Frozen, in_force: TrustSet, wanted: Reading) -> Decision:
    known = wanted if wanted.ok else _last_good(situation)
    change = difference(in_force, known.trust) if known else Difference()
    current = known is not None and not change
    return Decision(
        trust=in_force,
        frozen=replace(frozen, update_digests=situation.update_digests),
        taken=False,
        reason=INVALID if not wanted.ok else UP_TO_DATE if current else HELD,
        current=current,
        difference=change,
        findings=(*wanted.findings, *situation.policy.findings),
        wait_until=_wait_until(situation),
    )


def _take_anything(situation: Situation, wanted: Reading, reason: str) -> Decision:
    """Take the set that the lists ask for; with errors, the one that they last asked for; with neither, hold (P10)."""
    known = wanted if wanted.ok else _last_good(situation)
    if known is None:
        findings = (*wanted.findings, *situation.policy.findings)
        return Decision(
            trust=None,
            frozen=None,
            taken=False,
            reason=INVALID,
            current=False,
            difference=Difference(),
            findings=findings,
        )
    decision = _take(situation, known, reason, before=None)
    return replace(decision, findings=(*wanted.findings, *situation.policy.findings))


def _last_good(situation: Situation) -> Reading | None:
    """The set with the service's last good list in place of a broken one; None where that does not help."""
    if situation.last_good is None:
        return None
    reading = effective(Reading(situation.last_good), situation.own, situation.policy.merge)
    return reading if reading.ok else None


def _wait_until(situation: Situation) -> datetime | None:
    requested = situation.policy.requested_at
    return requested if requested and requested > situation.now else None
