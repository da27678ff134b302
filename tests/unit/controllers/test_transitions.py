from trustplane.api.meta import Condition
from trustplane.controllers.transitions import changed_conditions, is_warning


def _condition(type_: str, status: str, reason: str = "R", message: str = "m") -> Condition:
    return Condition(type=type_, status=status, reason=reason, message=message)


def test_what_stays_is_no_turn() -> None:
    now = [_condition("TrustCurrent", "True")]
    assert changed_conditions(now, now, {"TrustCurrent"}) == []


def test_a_new_condition_is_a_turn() -> None:
    now = [_condition("TrustCurrent", "True")]
    assert changed_conditions([], now, {"TrustCurrent"}) == now


def test_status_reason_and_message_count() -> None:
    before = [_condition("TrustCurrent", "False", "Held", "add a")]
    for now in (
        _condition("TrustCurrent", "True", "Held", "add a"),
        _condition("TrustCurrent", "False", "Updating", "add a"),
        _condition("TrustCurrent", "False", "Held", "add b"),
    ):
        assert changed_conditions(before, [now], {"TrustCurrent"}) == [now]


def test_what_an_update_waits_for_is_no_turn() -> None:
    before = [_condition("TrustCurrent", "False", "Updating", "pool a")]
    assert (
        changed_conditions(before, [_condition("TrustCurrent", "False", "Updating", "pool b")], {"TrustCurrent"}) == []
    )


def test_other_types_are_left_out() -> None:
    assert changed_conditions([], [_condition("Ready", "False")], {"TrustCurrent"}) == []


def test_only_what_is_wrong_is_a_warning() -> None:
    assert is_warning(_condition("TrustValid", "False"))
    assert not is_warning(_condition("TrustValid", "True"))
    assert not is_warning(_condition("TrustCurrent", "False"))
