"""`trustplane class`: generate the additions that give machines of any ClusterClass, or of none, trust at boot."""

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
from trustplane.cli.cluster_class.notes import ClassCluster, clusters_of_class, patch_notes
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
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="Output format."
)


@click.group("class")
def command() -> None:
    """Give machines of your own ClusterClass, or of clusters without one, their trust at boot.

    This adds two files and one command to the bootstrap data, the same ones for every trust list. Trustplane updates
    running nodes itself, so later changes of trust replace no machine.
    """


@command.command(
    "patch",
    epilog=examples(
        ("trustplane class patch my-class -n team-a", "print the patches, and the clusters that they roll"),
        ("trustplane class patch my-class --with-next-version 1.36.0", "wait for the clusters' upgrade to it"),
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
    help="Patch only machines of this Kubernetes version or newer: the upgrade replaces them in any case.",
)
@click.option(
    "--leave-out", multiple=True, metavar="CLASS", help="Do not patch this MachineDeployment class. Repeatable."
)
@click.option(
    "--ssh-user/--no-ssh-user",
    default=True,
    show_default=True,
    help="Add the SSH user that Trustplane connects as. Without it, every change of trust replaces machines.",
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
    """Print the patches to append to `spec.patches` of a ClusterClass, without changing anything.

    The correct patch depends on the class: appending to a missing list of files stops every cluster of the class, and
    setting an existing list removes its files. The command therefore reads the class, its templates and its other
    patches. It also prints missing variables.

    The patches change templates, so Cluster API replaces all machines of all clusters of the class, once. Standard
    error lists these clusters, a way to avoid the replacement, and the machines without trust: MachinePools, Windows.

    Exit status: 0 the patches are printed; 2 wrong usage, an unknown class or template, or a class without a correct
    patch; 75 the API server does not answer.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    cluster_class, templates, clusters = asyncio.run(_read(kubeconfig, Key(namespace, name)))
    generated = generate_class_patch(
        cluster_class, templates, with_next_version=with_next_version, with_user=ssh_user, leave_out=leave_out
    )
    for line in patch_notes(generated, clusters, with_next_version):
        echo(line, err=True)
    variables = {"variables": list(generated.variables)} if generated.variables else {}
    _print({"spec": {**variables, "patches": list(generated.patches)}}, output)


@command.command(
    "bootstrap",
    epilog=examples(
        ("trustplane class bootstrap shop", "the additions for every KubeadmConfigSpec of cluster shop"),
        ("trustplane class bootstrap shop --ssh-key shop.pub", "with the SSH user that Trustplane connects as"),
    ),
)
@click.argument("cluster", metavar="CLUSTER")
@click.option(
    "--ssh-key",
    type=click.File("r"),
    metavar="FILE",
    help="The cluster's public key, one line: `ssh-publickey` of Secret <cluster>-ssh. -: standard input.",
)
@output
def bootstrap(*, cluster: str, ssh_key: Any, output: str) -> None:
    """Print the additions for a cluster without a ClusterClass. This contacts no cluster.

    Add them to `spec.kubeadmConfigSpec` of the KubeadmControlPlane and to `spec.template.spec` of every
    KubeadmConfigTemplate of the cluster: append the files, and put the command before all others.

    Exit status: 0 the additions are printed; 2 wrong usage.
    """
    if not _CLUSTER_NAME.fullmatch(cluster):
        raise UserError(f"{cluster!r} is not a valid name of a Cluster")
    spec = add_trust({}, cluster)
    _print(add_user(spec, _key(ssh_key.read())) if ssh_key else spec, output)


def _key(text: str) -> str:
    lines = text.split("\n")
    if len(text) > _MAX_KEY or not lines[0].startswith(("ssh-", "ecdsa-", "sk-")) or any(lines[1:]):
        raise UserError(
            "The file is not a public key",
            why="it must have one line, in the format of authorized_keys",
            next_step="Pass `ssh-publickey` of Secret <cluster>-ssh",
        )
    return lines[0].strip()


async def _read(kubeconfig: Path | None, key: Key) -> tuple[Json, list[Json], list[ClassCluster]]:
    async with Client.open(kubeconfig) as client:
        cluster_class = await client.find(CLASSES, key.name, key.namespace)
        if cluster_class is None:
            raise UserError(
                f"ClusterClass {key} does not exist",
                next_step="See `kubectl get clusterclass -A`, or pass another namespace with -n",
            )
        templates = []
        for reference in template_references(cluster_class):
            template = await client.find(_resource(reference), reference.name, key.namespace)
            templates += [template] if template else []
        clusters = await client.list(CLUSTERS)
    return cluster_class, templates, clusters_of_class(clusters, key)


def _resource(reference: TemplateReference) -> Resource[Json]:
    group, _, version = reference.api_version.partition("/")
    return Resource(group, version, reference.kind, f"{reference.kind.lower()}s", dict)


class _Dumper(yaml.SafeDumper):
    """Writes multi-line strings as literal blocks, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat equal values instead of writing aliases."""
        del data
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def as_yaml(document: Json) -> str:
    """Return a document as the YAML of a manifest."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120))


def _print(document: Json, output: str) -> None:
    # Redaction or shortening would damage the script.
    echo_data(json.dumps(document, indent=2) if output == "json" else as_yaml(document), nl=output == "json")
