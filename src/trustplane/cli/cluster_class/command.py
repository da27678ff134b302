"""`trustplane class`: what makes machines of somebody's own ClusterClass, or of no class, boot with trust."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

import click
import yaml

from trustplane.api import clusterapi
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.cli.cluster_class.notes import Rolled, notes, rolled
from trustplane.cli.epilog import examples
from trustplane.cli.options import kubeconfig
from trustplane.cli.output import echo, echo_data
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.clusterapi.bootstrap import add_trust, add_user
from trustplane.clusterapi.cluster_class.patch import generate_class_patch
from trustplane.clusterapi.cluster_class.templates import TemplateReference, template_references
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.resource import Resource

CLASSES: Final[Resource[Json]] = Resource(clusterapi.GROUP, clusterapi.VERSION, "ClusterClass", "clusterclasses", dict)
CLUSTERS: Final[Resource[Json]] = Resource(clusterapi.GROUP, clusterapi.VERSION, "Cluster", "clusters", dict)
_MAX_KEY: Final = 8192  # characters
_CLUSTER_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?")

output = click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="Of the document."
)


@click.group("class")
def command() -> None:
    """Have machines of your own ClusterClass, or of none, boot with their cluster's trust.

    Bootstrap then has two files and one command, whatever the trust list is, and Trustplane changes running nodes
    itself: after this, a change of trust replaces no machine.
    """


@command.command(
    "patch",
    epilog=examples(
        ("trustplane class patch my-class -n team-a", "what to add; who would be rolled"),
        ("trustplane class patch my-class --with-next-version 1.36.0", "for clusters when they are upgraded to it"),
        ("trustplane class patch my-class -o json | jq .spec.patches", "for scripts"),
    ),
)
@click.argument("name", metavar="NAME")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the ClusterClass.")
@kubeconfig
@click.option(
    "--with-next-version",
    default="",
    metavar="VERSION",
    help="Only for machines of this Kubernetes version and newer ones: their upgrade replaces them anyway.",
)
@click.option("--leave-out", multiple=True, metavar="CLASS", help="A MachineDeployment class to leave as it is.")
@click.option(
    "--ssh-user/--no-ssh-user",
    default=True,
    show_default=True,
    help="Also add the user that Trustplane comes to nodes as. Without it machines are replaced when trust changes.",
)
@output
def patch(
    *,
    name: str,
    namespace: str,
    kubeconfig: Path | None,
    with_next_version: str,
    leave_out: tuple[str, ...],
    ssh_user: bool,
    output: str,
) -> None:
    """Print the patches to add at the end of a ClusterClass' `spec.patches`. Nothing is changed.

    Which patch is right depends on the class: appending to a list of files that is not there stops every cluster of
    the class, and setting one that is there takes its files away. So the class, its templates and its earlier patches
    are read. Missing variables are printed, too.

    A patch changes the templates, and Cluster API then replaces all machines of all clusters of the class, once. How
    many those are, and how to avoid it, is said on standard error, with whatever gets no trust: MachinePools, Windows.

    Exit status: 0 the patches are printed; 2 wrong usage, an unknown class, or a class for which none would be right;
    75 the API server does not answer.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    cluster_class, templates, clusters = asyncio.run(_read(kubeconfig, Key(namespace, name)))
    made = generate_class_patch(
        cluster_class, templates, with_next_version=with_next_version, with_user=ssh_user, leave_out=leave_out
    )
    for line in notes(made, clusters, with_next_version):
        echo(line, err=True)
    variables = {"variables": list(made.variables)} if made.variables else {}
    _print({"spec": {**variables, "patches": list(made.patches)}}, output)


@command.command(
    "bootstrap",
    epilog=examples(
        ("trustplane class bootstrap shop", "what a KubeadmConfigSpec of cluster shop needs"),
        ("trustplane class bootstrap shop --ssh-key shop.pub", "with the user that Trustplane comes to nodes as"),
    ),
)
@click.argument("cluster", metavar="CLUSTER")
@click.option(
    "--ssh-key",
    type=click.File("r"),
    metavar="FILE",
    help="Public key of the cluster, one line: `ssh-publickey` of Secret <cluster>-ssh. - for standard input.",
)
@output
def bootstrap(*, cluster: str, ssh_key: Any, output: str) -> None:
    """Print what to add where there is no ClusterClass. No cluster is asked, and nothing is changed.

    It goes into `spec.kubeadmConfigSpec` of the KubeadmControlPlane and into `spec.template.spec` of every
    KubeadmConfigTemplate of the cluster: append the files, and put the command before all others.

    Exit status: 0 it is printed; 2 wrong usage.
    """
    if not _CLUSTER_NAME.fullmatch(cluster):
        raise UserError(f"{cluster!r} is no name of a Cluster")
    spec = add_trust({}, cluster)
    _print(add_user(spec, _key(ssh_key.read())) if ssh_key else spec, output)


def _key(text: str) -> str:
    lines = text.split("\n")
    if len(text) > _MAX_KEY or not lines[0].startswith(("ssh-", "ecdsa-", "sk-")) or any(lines[1:]):
        raise UserError("The file holds no public key", why="one line of authorized_keys is asked for")
    return lines[0].strip()


async def _read(kubeconfig: Path | None, key: Key) -> tuple[Json, list[Json], list[Rolled]]:
    async with Client.open(kubeconfig) as client:
        cluster_class = await client.find(CLASSES, key.name, key.namespace)
        if cluster_class is None:
            raise UserError(
                f"There is no ClusterClass {key}",
                next_step="See `kubectl get clusterclass -A`, or name another namespace with -n",
            )
        templates = []
        for one in template_references(cluster_class):
            found = await client.find(_resource(one), one.name, key.namespace)
            templates += [found] if found else []
        clusters = await client.list(CLUSTERS)
    return cluster_class, templates, rolled(clusters, key)


def _resource(one: TemplateReference) -> Resource[Json]:
    group, _, version = one.api_version.partition("/")
    return Resource(group, version, one.kind, f"{one.kind.lower()}s", dict)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, and everything in its place."""

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat what comes twice."""
        del data
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def as_yaml(document: Json) -> str:
    """Return a document as a manifest has it."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120))


def _print(document: Json, output: str) -> None:
    # A script must not be redacted or cut.
    echo_data(json.dumps(document, indent=2) if output == "json" else as_yaml(document), nl=output == "json")
