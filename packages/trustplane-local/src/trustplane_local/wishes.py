"""What the user asks of a new stack, which a stack keeps for its life."""

from dataclasses import dataclass

from trustplane.errors import UserError
from trustplane_local.stack import Stack


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Options of `trustplane local up` that take effect when a stack is created."""

    subnet: str = ""  # a /18; empty: a free one
    versions: str = ""  # name of a set; empty: see `choose_versions`

    def check(self, stack: Stack) -> None:
        """Check an existing stack against them.

        Raises:
            UserError: the stack was created with another subnet or other versions.
        """
        for option, wanted, kept in (
            ("subnet", self.subnet, stack.subnet),
            ("versions", self.versions, stack.versions),
        ):
            if wanted and wanted != kept:
                raise UserError(
                    f"The stack in {stack.folder} has --{option} {kept}, not {wanted}",
                    why="a stack keeps its addresses and its versions",
                    next_step=f"Leave --{option} out, or start over with `trustplane local down` and "
                    "`trustplane local up`",
                )
