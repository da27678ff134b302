"""The demo on the screen: numbered acts, narration, commands with their output, checked claims, and a recap."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from trustplane.errors import TrustplaneError

POLL_SECONDS, LONGEST_SECONDS = 1.0, 3.0  # first and longest pause between two polls


class StoryError(TrustplaneError):
    """A claim of the demo does not hold."""


class Story:
    """Prints the acts as they happen, and records their durations."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.acts: list[tuple[str, float]] = []

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """Announce an act, and record its duration if it succeeds."""
        self.console.print()
        self.console.print(Rule(Text(f"{len(self.acts) + 1}. {title}", "bold"), align="left"))
        start = time.monotonic()
        yield
        self.acts.append((title, time.monotonic() - start))

    def say(self, text: str) -> None:
        """Print the narrator's text."""
        self.console.print(Text(text, "italic"))

    def shell(self, command: str, output: str) -> None:
        """Print a command and its output."""
        self.console.print(Text(f"$ {command}", "bold cyan"), soft_wrap=True)
        if not output:
            return
        self.console.print(Text(output.rstrip()), soft_wrap=True)

    def check(self, claim: str, *, holds: bool, observed: str = "") -> None:
        """Print a claim that holds.

        Raises:
            StoryError: It does not hold.
        """
        if not holds:
            raise StoryError(
                f"The demo claims: {claim}. This does not hold",
                why=f"observed instead: {observed}" if observed else "",
                next_step="See `trustplane local status` and `trustplane local logs manager`",
            )
        self.console.print(Text.assemble(("✓", "green"), f" {claim}"))

    def wait_until(self, claim: str, probe: Callable[[], tuple[bool, str]], *, seconds: float) -> None:
        """Wait until a claim holds, and print it.

        Args:
            claim: The claim.
            probe: Returns whether it holds, and the current state.
            seconds: Limit.

        Raises:
            StoryError: It does not hold in that time.
        """
        deadline, pause = time.monotonic() + seconds, POLL_SECONDS
        with self.console.status("") as status:
            while not (result := probe())[0] and time.monotonic() < deadline:
                status.update(Text(f"{claim}: {result[1][-100:]}"))
                time.sleep(pause)
                pause = min(pause * 1.2, LONGEST_SECONDS)
        self.check(claim, holds=result[0], observed=result[1])

    def table(self) -> Table:
        """Return the acts with their durations in seconds."""
        table = Table(title="Recap")
        table.add_column("act")
        table.add_column("seconds", justify="right")
        for title, seconds in self.acts:
            table.add_row(Text(title), f"{seconds:.0f}")
        table.add_section()
        table.add_row("total", f"{sum(seconds for _, seconds in self.acts):.0f}")
        return table
