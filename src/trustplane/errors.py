"""Base classes of all errors, by who must act.

An error has three parts: what happened, why, and what to do next. The command line prints them; conditions and events
join them. No part ever contains a secret or a private key.
"""


class TrustplaneError(Exception):
    """An error that a user or an operator can act on."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        """Join what, why and next step into one line, for conditions and events."""
        return ". ".join(part.rstrip(".") for part in (self.what, self.why, self.next_step) if part)


class UserError(TrustplaneError):
    """The user's input or request must change."""

    exit_code = 2


class HostError(TrustplaneError):
    """The machine that runs Trustplane lacks a program, a port, disk, memory, or a right."""

    exit_code = 3


class NodeError(TrustplaneError):
    """A node of a cluster must be inspected or fixed."""


class TransientError(TrustplaneError):
    """A temporary failure: callers retry with backoff."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class BugError(TrustplaneError):
    """A bug in Trustplane."""

    exit_code = 70  # EX_SOFTWARE of sysexits.h
