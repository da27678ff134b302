"""How a story is told: numbered acts, the commands as a person would type them, and a table of seconds at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from trustplane.errors import TrustplaneError

POLL_SECONDS, LONGEST_SECONDS = 1.0, 3.0  # between looks: what takes long is asked for less often


class StoryError(TrustplaneError):
    """Reality differs from what the story claims."""


class Story:
    """Prints acts as they happen and remembers how long each took."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.acts: list[tuple[str, float]] = []

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """Announce an act, and take its time when it ends well."""
        self.console.print()
        self.console.print(Rule(Text(f"{len(self.acts) + 1}. {title}", "bold"), align="left"))
        start = time.monotonic()
        yield
        self.acts.append((title, time.monotonic() - start))

    def say(self, text: str) -> None:
        """Print a sentence of the narrator."""
        self.console.print(Text(text, "italic"))

    def shell(self, command: str, output: str) -> None:
        """Print a command and what it printed."""
        self.console.print(Text(f"$ {command}", "bold cyan"), soft_wrap=True)
        if not output:
            return
        self.console.print(Text(output.rstrip()), soft_wrap=True)

    def check(self, claim: str, *, holds: bool, seen: str = "") -> None:
        """Print a claim that holds; stop the story at one that does not."""
        if not holds:
            raise StoryError(
                f"The story says: {claim}. Reality differs",
                why=f"seen instead: {seen}" if seen else "",
                next_step="look around with `trustplane local status` and `trustplane local logs manager`",
            )
        self.console.print(Text.assemble(("✓", "green"), f" {claim}"))

    def until(self, claim: str, probe: Callable[[], tuple[bool, str]], *, seconds: float) -> None:
        """Wait until the probe says (True, what is seen); stop the story after that many seconds."""
        deadline, pause = time.monotonic() + seconds, POLL_SECONDS
        with self.console.status("") as status:
            while not (answer := probe())[0] and time.monotonic() < deadline:
                status.update(Text(f"{claim}: {answer[1][-100:]}"))
                time.sleep(pause)
                pause = min(pause * 1.2, LONGEST_SECONDS)
        self.check(claim, holds=answer[0], seen=answer[1])

    def table(self) -> Table:
        """Return the table of acts and seconds."""
        table = Table(title="What happened")
        table.add_column("act")
        table.add_column("seconds", justify="right")
        for title, seconds in self.acts:
            table.add_row(Text(title), f"{seconds:.0f}")
        table.add_section()
        table.add_row("in all", f"{sum(seconds for _, seconds in self.acts):.0f}")
        return table
