"""The user's options for a new stack; they never change afterwards."""

from dataclasses import dataclass

from trustplane.errors import UserError
from trustplane_local.stack import Stack


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Options of `trustplane local up` that only affect a new stack."""

    subnet: str = ""  # a /18; empty: a free one
    versions: str = ""  # name of a version set; empty: see `choose_versions`

    def check(self, stack: Stack) -> None:
        """Check that an existing stack agrees with the options.

        Raises:
            UserError: The stack has another subnet or version set.
        """
        for option, requested, actual in (
            ("subnet", self.subnet, stack.subnet),
            ("versions", self.versions, stack.versions),
        ):
            if requested and requested != actual:
                raise UserError(
                    f"The stack in {stack.folder} has --{option} {actual}, not {requested}",
                    why="the addresses and versions of an existing stack cannot change",
                    next_step=f"Leave --{option} out, or start over with `trustplane local down` and "
                    "`trustplane local up`",
                )
