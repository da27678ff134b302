"""The subcommands of `trustplane`: those of this package, and those that installed packages add."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

GROUP: Final = "trustplane.commands"

# Name: (module, summary in `trustplane --help`). The module's click command is `command`.
COMMANDS: Final = MappingProxyType(
    {
        "check": ("trustplane.cli.check.command", "Check trust lists before you apply them."),
        "class": ("trustplane.cli.cluster_class.command", "Generate boot-time trust for your own ClusterClass."),
        "diagnose": (
            "trustplane.cli.diagnose.command",
            "Diagnose failed image pulls, using evidence from cluster, node and registry.",
        ),
        "explain": ("trustplane.cli.explain.command", "Explain a failed image pull from its error message."),
        "fetch-ca": ("trustplane.cli.fetch_ca", "Show a registry's certificate chain, and propose the entry to add."),
        "manager": ("trustplane.cli.manager", "Run the controllers."),
        "plan": ("trustplane.cli.plan.command", "Show the effects of a manifest before you apply it."),
        "prove": ("trustplane.cli.prove.command", "Make every node prove that it trusts its registries."),
        "status": ("trustplane.cli.status.command", "Show the trust of clusters, and its proofs."),
        "undo": ("trustplane.cli.undo", "Restore a cluster's previous trust."),
        "update": ("trustplane.cli.update.command", "Bring a cluster's trust up to date now."),
        "webhook": ("trustplane.cli.webhook", "Run the admission webhook for trust lists."),
    }
)


def find_module(name: str) -> str | None:
    """Return the module of a subcommand; None if no package has it. Asks other packages only for unknown names."""
    entry = COMMANDS.get(name) or commands().get(name)
    return entry[0] if entry else None


@cache
def commands() -> Mapping[str, tuple[str, str]]:
    """Return every subcommand by name, sorted; the values are those of COMMANDS.

    An installed package adds commands through an entry point of group `trustplane.commands`: a mapping like COMMANDS.
    Loading it must be cheap, because `trustplane --help` does. No package replaces a command of this one.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - half of the start-up of a command that needs none

    added: dict[str, tuple[str, str]] = {}
    for entry_point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        added |= entry_point.load()
    return dict(sorted({**added, **COMMANDS}.items()))
