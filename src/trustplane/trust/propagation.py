"""Propagation: when does the set in force of a cluster change?

Rules P1 to P10 of docs/reference/propagation.md, as one pure function of an observation. Its only state between calls
is `PropagationRecord`, stored in annotations of the Cluster. One apply or patch writes all of them, so a killed process
never leaves a part.
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
from trustplane.trust.entries import EMPTY_SET, SHORT_DIGEST_LENGTH, ParsedList, SetDifference, TrustSet, compare_sets
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import AUTOMATIC, Policy
from trustplane.trust.recorded import is_digest, parse_time
from trustplane.trust.removal import check_removal, compare_fingerprints, fingerprints_by_name

# Why the set in force changes now.
CLUSTER_CREATED: Final = "Created"
UPDATE_REQUESTED: Final = "Requested"
FIRST_CUSTOMISATION: Final = "FirstCustomisation"
OWN_TRUST_CHANGED: Final = "OwnTrustChanged"
OTHER_UPDATE: Final = "OtherUpdate"
AUTOMATIC_PROPAGATION: Final = "Automatic"
SET_UNDONE: Final = "Undone"
SECRET_LOST: Final = "SecretLost"  # noqa: S105  the reason's name
# Why it stays.
SET_UP_TO_DATE: Final = "UpToDate"
SET_HELD: Final = "Held"
LIST_INVALID: Final = "Invalid"

_CHANGE_LENGTH: Final = 600  # characters; leaves space in a condition's message
_ELLIPSIS: Final = "..."
_DIGEST_LENGTH: Final = 64  # characters, also of a reason


@dataclass(frozen=True, kw_only=True)
class PropagationRecord:
    """The set that a cluster last took, and the requests and changes that this handled."""

    digest: str  # of the set in force
    own_digest: str = ""  # of the cluster's own list at that time; empty without one
    update_digests: Mapping[str, str] = field(default_factory=dict)  # parts of the spec whose change updates nodes
    handled_at: datetime | None = None  # time of the latest update request that was handled
    first_customisation_handled: bool = False
    reason: str = CLUSTER_CREATED  # why the cluster took the set
    change: str = ""  # for messages: the changed entries, by name and fingerprint
    previous: str = ""  # digest of the previous set in force

    @classmethod
    def from_annotations(cls, values: Mapping[str, str]) -> "PropagationRecord | None":
        """Read the state from a Cluster's annotations; return None if the cluster has taken no set yet."""
        digest = values.get(annotations.TRUST_DIGEST)
        if not digest:
            return None
        return cls(
            # An invalid digest names no set: the cluster takes a set again, as after the loss of its Secret.
            digest=digest if is_digest(digest) else "",
            own_digest=clean(values.get(annotations.OWN_TRUST_DIGEST, ""), _DIGEST_LENGTH),
            update_digests=_read_digests(values.get(annotations.UPDATE_DIGESTS, "")),
            handled_at=parse_time(values.get(annotations.UPDATE_HANDLED_AT, "")),
            first_customisation_handled=annotations.FIRST_CUSTOMISATION_HANDLED in values,
            reason=clean(values.get(annotations.TRUST_REASON, CLUSTER_CREATED), _DIGEST_LENGTH),
            change=clean(values.get(annotations.TRUST_CHANGE, ""), _CHANGE_LENGTH + len(_ELLIPSIS)),
            previous=_digest(values.get(annotations.TRUST_PREVIOUS, "")),
        )

    def to_annotations(self) -> dict[str, str]:
        """Return the state as annotations of a Cluster."""
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
    return recorded.decode_record(text, dict[str, str]) or {}


class UndoPin(msgspec.Struct, frozen=True):
    """Annotation `trust-pin`: an earlier set that the user wants back until the next update request.

    Attributes:
        digest: Of that set.
        at: Time of the undo.
        allow_removal: Whether the undo may drop more than half of the set in force.
    """

    digest: str
    at: datetime
    allow_removal: bool = False

    @classmethod
    def parse(cls, text: str, requested_at: datetime | None) -> "UndoPin | None":
        """Parse a pin; return None if it is absent or invalid, or if a later update was requested.

        Args:
            text: The annotation's value.
            requested_at: Time of the latest update request that has come; a scheduled one ends no undo before its time.
        """
        pin = recorded.decode_record(text, cls)
        at = parse_time(pin.at.isoformat()) if pin else None
        if pin is None or at is None or not is_digest(pin.digest):
            return None
        return None if requested_at and requested_at > at else pin

    def encode(self) -> str:
        """Return the annotation's value."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, kw_only=True)
class PropagationInput:
    """All input of a decision."""

    record: PropagationRecord | None  # None: the cluster has taken no set yet
    in_force: TrustSet | None  # content of the Secret that `frozen` names; None if it does not exist
    service: ParsedList  # the service's list
    last_good: TrustSet | None  # the service's last good list; None if none is recorded
    own: ParsedList | None  # the cluster's own list; None without one
    policy: Policy
    first_customized_at: datetime | None  # when the service's configuration was first customised
    update_digests: Mapping[str, str]  # as in Frozen, of the current spec
    now: datetime
    pin: UndoPin | None = None
    pinned: TrustSet | None = None  # content of the pinned set; None if it is unreadable


@dataclass(frozen=True, kw_only=True)
class PropagationDecision:
    """The set in force from now on, and how it relates to the desired set."""

    trust: TrustSet | None  # None: no valid set exists; do not create a Cluster
    record: PropagationRecord | None  # to store with the set; None only if `trust` is
    takes_set: bool  # this decision changes the set in force
    reason: str
    is_current: bool  # the set in force is the desired set
    difference: SetDifference  # from the set in force to the desired set
    findings: tuple[Finding, ...] = ()
    wait_until: datetime | None = None  # time of a request that lies in the future

    @property
    def is_invalid(self) -> bool:
        """Whether a list has errors; the set in force then stays."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def decide_propagation(situation: PropagationInput) -> PropagationDecision:
    """Apply the rules: keep the set in force, or take the desired set."""
    desired = merge_lists(situation.service, situation.own, situation.policy.merge)
    in_force = _in_force(situation)
    if situation.record is None:
        return _take_anything(situation, desired, CLUSTER_CREATED)
    if situation.pin is not None:
        return _go_back(situation, situation.record, in_force, desired, situation.pin)
    if in_force is None:
        return _take_anything(situation, desired, SECRET_LOST)
    if not desired.is_valid:
        return _keep(situation, situation.record, in_force, desired)
    trigger = _trigger(situation, situation.record)
    if trigger:
        return _take(situation, desired, trigger, before=in_force)
    return _keep(situation, situation.record, in_force, desired)


def _go_back(
    situation: PropagationInput, frozen: PropagationRecord, in_force: TrustSet | None, desired: ParsedList, pin: UndoPin
) -> PropagationDecision:
    """Take the pinned set and keep it, regardless of the desired set."""
    refusal = _refusal(situation, in_force, pin)
    if refusal is not None and in_force is not None:
        kept = _keep(situation, frozen, in_force, desired)
        return replace(kept, findings=(*kept.findings, refusal))
    pinned = situation.pinned
    if pinned is None:
        return _take_anything(situation, desired, SECRET_LOST)
    if in_force is not None and in_force == pinned:
        return replace(_keep(situation, frozen, in_force, desired), reason=SET_UNDONE)
    taken = _take(situation, ParsedList(pinned), SET_UNDONE, before=in_force)
    held = compare_sets(pinned, desired.trust) if desired.is_valid else SetDifference()
    findings = (*desired.findings, *situation.policy.findings)
    return replace(taken, is_current=desired.is_valid and not held, difference=held, findings=findings)


def _refusal(situation: PropagationInput, in_force: TrustSet | None, pin: UndoPin) -> Finding | None:
    """Return why the pin is ignored; None if it applies."""
    if situation.pinned is None:
        return Finding(
            code="no-previous-set",
            severity=Severity.WARNING,
            what=f"The set {pin.digest[:SHORT_DIGEST_LENGTH]}, which `trustplane undo` must restore, is unreadable",
            why="Its Secret was deleted or replaced; the set in force stays",
            next_step="Run `trustplane update`, which takes the desired set and ends the undo",
        )
    removed = compare_fingerprints(fingerprints_by_name(in_force or EMPTY_SET), fingerprints_by_name(situation.pinned))
    findings = check_removal(removed, allowed=pin.allow_removal)
    return next((finding for finding in findings if finding.severity is Severity.ERROR), None)


def _in_force(situation: PropagationInput) -> TrustSet | None:
    """Return the set in force; an empty set needs no Secret and cannot be lost."""
    if situation.record and situation.record.digest == EMPTY_SET.digest:
        return EMPTY_SET
    return situation.in_force


def _trigger(situation: PropagationInput, frozen: PropagationRecord) -> str:
    """Return the reason to take the desired set now; empty if no rule applies (P1)."""
    rules = {
        UPDATE_REQUESTED: _is_requested(situation, frozen),  # P2
        FIRST_CUSTOMISATION: situation.first_customized_at and not frozen.first_customisation_handled,  # P3
        OWN_TRUST_CHANGED: _own_digest(situation) != frozen.own_digest,  # P5
        OTHER_UPDATE: has_spec_changed(frozen.update_digests, situation.update_digests),  # P4
        AUTOMATIC_PROPAGATION: situation.policy.propagation == AUTOMATIC,  # P2
    }
    return next((reason for reason, applies in rules.items() if applies), "")


def _is_requested(situation: PropagationInput, frozen: PropagationRecord) -> bool:
    requested = situation.policy.due_request(situation.now)
    return requested is not None and (frozen.handled_at is None or requested > frozen.handled_at)


def has_spec_changed(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether a part of the spec whose change updates nodes has changed.

    Added or removed parts, such as node pools, do not change existing nodes.
    """
    return any(now[part] != digest for part, digest in before.items() if part in now)


def _own_digest(situation: PropagationInput) -> str:
    return situation.own.trust.digest if situation.own else ""


def _take(
    situation: PropagationInput, desired: ParsedList, reason: str, *, before: TrustSet | None
) -> PropagationDecision:
    taken = before is None or before != desired.trust
    frozen = PropagationRecord(
        digest=desired.trust.digest,
        own_digest=_own_digest(situation),
        update_digests=situation.update_digests,
        handled_at=_handled_at(situation),
        first_customisation_handled=_is_first_customisation_handled(situation),
        reason=reason if taken or situation.record is None else situation.record.reason,
        change=_change(situation, desired, before) if taken else situation.record.change if situation.record else "",
        previous=_previous(situation.record, taken=taken),
    )
    return PropagationDecision(
        trust=desired.trust,
        record=frozen,
        takes_set=taken,
        reason=reason if taken else SET_UP_TO_DATE,
        is_current=True,
        difference=SetDifference(),
        findings=(*desired.findings, *situation.policy.findings),
        wait_until=situation.policy.scheduled_request(situation.now),
    )


def _previous(before: PropagationRecord | None, *, taken: bool) -> str:
    if before is None:
        return ""
    return before.digest if taken else before.previous


def _change(situation: PropagationInput, desired: ParsedList, before: TrustSet | None) -> str:
    """Describe the change for the user, in limited length."""
    if situation.record is None:
        return ""
    text = compare_sets(before or EMPTY_SET, desired.trust).text
    return text if len(text) <= _CHANGE_LENGTH else f"{text[:_CHANGE_LENGTH]}{_ELLIPSIS}"


def _handled_at(situation: PropagationInput) -> datetime | None:
    """Return the latest request that taking the set now handles."""
    due = situation.policy.due_request(situation.now)
    handled = situation.record.handled_at if situation.record else None
    return max((time for time in (due, handled) if time), default=None)


def _is_first_customisation_handled(situation: PropagationInput) -> bool:
    handled = situation.record is not None and situation.record.first_customisation_handled
    return handled or situation.first_customized_at is not None


def _keep(
    situation: PropagationInput, frozen: PropagationRecord, in_force: TrustSet, desired: ParsedList
) -> PropagationDecision:
    usable = desired if desired.is_valid else _last_good(situation)
    change = compare_sets(in_force, usable.trust) if usable else SetDifference()
    current = usable is not None and not change
    return PropagationDecision(
        trust=in_force,
        record=replace(frozen, update_digests=situation.update_digests),
        takes_set=False,
        reason=LIST_INVALID if not desired.is_valid else SET_UP_TO_DATE if current else SET_HELD,
        is_current=current,
        difference=change,
        findings=(*desired.findings, *situation.policy.findings),
        wait_until=situation.policy.scheduled_request(situation.now),
    )


def _take_anything(situation: PropagationInput, desired: ParsedList, reason: str) -> PropagationDecision:
    """Take the desired set; if a list has errors, the last good set; without either, take nothing (P10)."""
    usable = desired if desired.is_valid else _last_good(situation)
    if usable is None:
        findings = (*desired.findings, *situation.policy.findings)
        return PropagationDecision(
            trust=None,
            record=None,
            takes_set=False,
            reason=LIST_INVALID,
            is_current=False,
            difference=SetDifference(),
            findings=findings,
        )
    decision = _take(situation, usable, reason, before=None)
    return replace(decision, findings=(*desired.findings, *situation.policy.findings))


def _last_good(situation: PropagationInput) -> ParsedList | None:
    """Return the set with the service's last good list in place of a broken one; None if that set is also invalid."""
    if situation.last_good is None:
        return None
    reading = merge_lists(ParsedList(situation.last_good), situation.own, situation.policy.merge)
    return reading if reading.is_valid else None
