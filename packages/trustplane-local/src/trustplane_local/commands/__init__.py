"""The commands that this package adds to `trustplane`: local, demo, bench."""

from types import MappingProxyType
from typing import Final

# Name: (module, summary in `trustplane --help`), as in `trustplane.cli.commands.COMMANDS`.
COMMANDS: Final = MappingProxyType(
    {
        "bench": ("trustplane_local.commands.bench", "Run benchmarks on a separate local stack."),
        "demo": ("trustplane_local.commands.demo", "Run the end-to-end demo on real clusters."),
        "local": ("trustplane_local.commands.local", "Run real Kubernetes clusters on this machine."),
    }
)
