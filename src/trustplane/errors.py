"""The one root of our errors, in classes of who must act.

An error says what happened, why, and what to do next. The command line prints the three parts; conditions and
events join them. Secrets and private keys never appear in any part.
"""


class TrustplaneError(Exception):
    """Something went wrong that somebody can act on."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        """Join what, why and next step into one line, as conditions and events show it."""
        return ". ".join(part.rstrip(".") for part in (self.what, self.why, self.next_step) if part)


class UserError(TrustplaneError):
    """The user's input or request must change."""

    exit_code = 2


class HostError(TrustplaneError):
    """The machine that runs us lacks something: a program, a port, disk, memory, a right."""

    exit_code = 3


class NodeError(TrustplaneError):
    """A node of a cluster must be looked at."""


class TransientError(TrustplaneError):
    """Nothing is wrong that time would not mend: the caller retries with backoff."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class BugError(TrustplaneError):
    """Trustplane itself broke a promise."""

    exit_code = 70  # EX_SOFTWARE of sysexits.h
