"""`trustplane check`: check trust lists before you apply them."""

import datetime as dt
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from gox509 import Pool
from trustplane.api import dockerhub
from trustplane.api.dockerhub import canonical
from trustplane.api.image_reference import ImageReference, parse_image, parse_repository
from trustplane.certificates.parsing import Certificate, holds_private_key
from trustplane.certificates.repair import read_any
from trustplane.cli import manifests
from trustplane.cli.check import documents, tables
from trustplane.cli.check import report as check_report
from trustplane.cli.check.documents import CheckedFile
from trustplane.cli.check.entries import ListedEntry
from trustplane.cli.check.links import link_secrets
from trustplane.cli.check.reading import write_name
from trustplane.cli.check.report import CheckReport
from trustplane.cli.console import console, progress
from trustplane.cli.epilog import examples
from trustplane.cli.manifests import STANDARD_INPUT
from trustplane.cli.options import follow
from trustplane.cli.output import echo, echo_data, echo_json
from trustplane.errors import UserError
from trustplane.registry.address import Address
from trustplane.registry.inspection import Follow, HostReport, inspect


@click.command(
    epilog=examples(
        ("trustplane check tkgserviceconfiguration.yaml", "a trust list, before you apply it"),
        ("trustplane check cluster.yaml --registry harbor.corp.example", "whether nodes would trust a registry"),
        ("trustplane check cluster.yaml secret.yaml", "a Cluster and the Secret of its variable"),
        ("kubectl get tkc -A -o yaml | trustplane check -", "all existing clusters"),
        ("trustplane check --fix ca.crt", "print the entry for a file"),
        ("trustplane check -o sarif lists/*.yaml >check.sarif", "for a code hosting platform"),
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--registry", "registries", multiple=True, metavar="HOST[:PORT]", help="Verify its certificate like a node."
)
@click.option("--image", metavar="REPOSITORY[:TAG]", help="Public image of the registry, to find its blob host.")
@follow
@click.option("--node-bundle", type=click.Path(path_type=Path), help="PEM file of other CAs trusted by the nodes.")
@click.option("--at", metavar="TIME", help="Check for this time (RFC 3339) instead of now.")
@click.option("--fix", is_flag=True, help="Write corrected data to the manifests; for other files, print it.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "sarif"]),
    default="table",
    show_default=True,
    help="Output format.",
)
def command(
    *,
    files: tuple[str, ...],
    registries: tuple[str, ...],
    image: str | None,
    follow: Follow,
    node_bundle: Path | None,
    at: str | None,
    fix: bool,
    output: str,
) -> None:
    """Check trust lists: certificates, encoding, names, and which registries nodes would trust.

    FILE is a manifest (TkgServiceConfiguration, TanzuKubernetesCluster, Cluster and the Secret of its variable, or a
    ConfigMap or Secret with CAs), PEM, DER, PKCS#7, base64 of PEM, or - for standard input. Changes nothing without
    --fix.

    Exit status: 0 good, perhaps with warnings; 1 errors; 2 undecided. With --fix: the status before the correction.
    """
    time = _time(at)
    checked = link_secrets([documents.read_file(name, manifests.read_content(name)) for name in files])
    report = check_report.review(checked, time)
    if registries:
        bundle = read_any(manifests.read_content(str(node_bundle))).certificates if node_bundle else ()
        hosts: list[HostReport] = []
        for address in [Address.read(registry) for registry in registries]:
            with progress(f"Connecting to {address}"):
                trust = _pool(checked, bundle, address)
                hosts += inspect(address, trust, time, image=_public_image(image, address), follow=follow)
        report = replace(report, hosts=tuple(hosts))
    _show(report, output, files[0], to_stderr=fix and any(map(_is_printed, checked)))
    if fix:
        _fix(checked, time)
    sys.exit(report.exit_code)


def _public_image(text: str | None, address: Address) -> ImageReference | None:
    """Read --image: with the registry's host, or without."""
    if not text:
        return None
    image = parse_image(text)
    return image if image.registry != dockerhub.NAME else parse_repository(str(address), text)


def _time(text: str | None) -> dt.datetime:
    if text is None:
        return dt.datetime.now(dt.UTC)
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise UserError(f"{text!r} is not a time with a zone", next_step="Write it as 2026-11-23T12:00:00Z")
    return time


def _pool(checked: Sequence[CheckedFile], bundle: Sequence[Certificate], address: Address) -> Pool:
    """Return the certificates a node with these lists trusts for pulls from a registry."""
    entries = [entry for file in checked for entry in file.entries if _applies_to(entry, address)]
    listed = [certificate for entry in entries for certificate in entry.parsed.certificates]
    return Pool.read([certificate.der for certificate in (*listed, *bundle)])


def _applies_to(entry: ListedEntry, address: Address) -> bool:
    registry = canonical(str(address))
    return not entry.hosts or any(canonical(host) == registry for host in entry.hosts)


def _show(report: CheckReport, output: str, file: str, *, to_stderr: bool) -> None:
    """Print the report, to standard error if --fix prints to standard output."""
    if output == "table":
        tables.show_report(console(to_stderr=to_stderr), report)
    else:
        document = check_report.as_json(report) if output == "json" else check_report.as_sarif(report, file)
        echo_json(document, err=to_stderr)


def _is_printed(file: CheckedFile) -> bool:
    """Return whether a correction is printed, because no manifest file can take it."""
    if file.is_manifest:
        return file.name == STANDARD_INPUT
    return any(entry.fixed is not None for entry in file.entries)


def _fix(checked: Sequence[CheckedFile], at: dt.datetime) -> None:
    for file in checked:
        if file.name == STANDARD_INPUT and file.is_manifest:
            _print_corrected(file, at)
        elif file.is_manifest and file.fixed != file.text:
            _replace(Path(file.name), file.fixed)
            echo(f"{file.name}: corrected", err=True)
        elif not file.is_manifest:
            for entry in file.entries:
                if entry.fixed is not None:
                    echo_data(f"- name: {write_name(entry.name)}\n  data: {entry.fixed}")


def _print_corrected(file: CheckedFile, at: dt.datetime) -> None:
    """Print a manifest if all its lists are now correct; remaining errors may be a pasted private key."""
    content = file.fixed.encode()
    corrected = link_secrets([documents.read_file(STANDARD_INPUT, content)])
    remaining = check_report.review(corrected, at)
    if not file.entries or remaining.exit_code == check_report.ERRORS or holds_private_key(content):
        echo("Not printed: the manifest has no trust list, or an error that --fix cannot correct", err=True)
    else:
        echo_data(file.fixed, nl=False)


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically, keeping its permissions."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, newline="", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(path.stat().st_mode)
    Path(file.name).replace(path)
