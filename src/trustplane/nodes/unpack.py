"""What bootstrap data needs so that a machine unpacks its set when it boots: two files and one command. Pure.

The command is the first of `preKubeadmCommands`. The script's text is part of templates: a change of it, unlike one of
trust, makes Cluster API replace machines.
"""

from importlib.resources import files
from typing import Final

BUNDLE: Final = "/etc/trustplane/trust.pem"  # holds `trust.bundle`'s text, from Secret `<cluster>-trust`
PATH: Final = "/etc/trustplane/unpack.sh"
COMMAND: Final = f"sh {PATH}"
BOOTED: Final = "/etc/trustplane/booted"  # what the script says came of it
SCRIPT: Final = files("trustplane.nodes").joinpath("unpack.sh").read_text()
