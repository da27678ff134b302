"""`trustplane check`: what nodes will make of a list of CAs, before it is applied."""

import datetime as dt
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from trustplane.api.dockerhub import canonical
from trustplane.certificates.parsing import Certificate, holds_private_key
from trustplane.certificates.repair import read_any
from trustplane.certificates.verification import Pool
from trustplane.cli import check_documents, check_report, check_tables, manifests
from trustplane.cli.check_documents import Document, Entry
from trustplane.cli.check_report import Report
from trustplane.cli.console import console, progress
from trustplane.cli.manifests import STANDARD_INPUT
from trustplane.cli.options import examples, follow
from trustplane.cli.output import echo, echo_data, echo_json
from trustplane.errors import UserError
from trustplane.registry.address import Address
from trustplane.registry.hosts import Image
from trustplane.registry.inspection import Follow, HostReport, inspect


@click.command(
    epilog=examples(
        ("trustplane check tkgserviceconfiguration.yaml", "a list, before it is applied"),
        ("trustplane check cluster.yaml --registry harbor.corp.example", "whether it makes that registry work"),
        ("trustplane check cluster.yaml secret.yaml", "a Cluster, and the Secret that its variable speaks of"),
        ("kubectl get tkc -A -o yaml | trustplane check -", "every cluster that is there"),
        ("trustplane check --fix ca.crt", "print the entry for a file"),
        ("trustplane check -o sarif lists/*.yaml >check.sarif", "for a code host"),
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--registry", "registries", multiple=True, metavar="HOST[:PORT]", help="Dial it, and decide as a node.")
@click.option("--image", metavar="REPOSITORY[:TAG]", help="Find the blob host by this public image of the registry.")
@follow
@click.option("--node-bundle", type=click.Path(path_type=Path), help="CAs that nodes trust anyway, as PEM.")
@click.option("--at", metavar="TIME", help="Decide for this time (RFC 3339) in place of now.")
@click.option("--fix", is_flag=True, help="Write corrected data into the manifests; print it for other files.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "sarif"]), default="table", show_default=True)
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
    """Say what nodes will make of lists of CAs.

    FILE is a manifest (TkgServiceConfiguration, TanzuKubernetesCluster, a Cluster with variable `trust` and its
    Secret, or a List of them), PEM, DER, base64 of PEM, or - for standard input. Nothing is changed without --fix.

    Exit status: 0 good, there may be warnings; 1 errors; 2 cannot tell. With --fix, of what was found before.
    """
    time = _time(at)
    documents = check_documents.link([check_documents.read(name, manifests.content(name)) for name in files])
    report = check_report.review(documents, time)
    if registries:
        wanted = Image.read(image) if image else None
        anyway = read_any(manifests.content(str(node_bundle))).certificates if node_bundle else ()
        hosts: list[HostReport] = []
        for address in [Address.read(registry) for registry in registries]:
            with progress(f"Asking {address}"):
                trust = _pool(documents, anyway, address)
                hosts += inspect(address, trust, time, image=wanted, follow=follow)
        report = replace(report, hosts=tuple(hosts))
    _show(report, output, files[0], to_stderr=fix and any(map(_is_printed, documents)))
    if fix:
        _fix(documents, time)
    sys.exit(report.exit_code)


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


def _pool(documents: Sequence[Document], anyway: Sequence[Certificate], address: Address) -> Pool:
    """Return what a node with these lists trusts for pulls from a registry."""
    entries = [entry for document in documents for entry in document.entries if _is_for(entry, address)]
    listed = [one for entry in entries for one in entry.parsed.certificates]
    return Pool.read([one.der for one in (*listed, *anyway)])


def _is_for(entry: Entry, address: Address) -> bool:
    named = canonical(str(address))
    return not entry.hosts or any(canonical(host) == named for host in entry.hosts)


def _show(report: Report, output: str, file: str, *, to_stderr: bool) -> None:
    """Print the report; to standard error where standard output is for what --fix prints."""
    if output == "table":
        check_tables.show(console(to_stderr=to_stderr), report)
    else:
        document = check_report.as_json(report) if output == "json" else check_report.as_sarif(report, file)
        echo_json(document, err=to_stderr)


def _is_printed(document: Document) -> bool:
    """Tell whether a correction has no file to be written into."""
    if document.is_manifest:
        return document.name == STANDARD_INPUT
    return any(entry.fixed is not None for entry in document.entries)


def _fix(documents: Sequence[Document], at: dt.datetime) -> None:
    for document in documents:
        if document.name == STANDARD_INPUT and document.is_manifest:
            _print_corrected(document, at)
        elif document.is_manifest and document.fixed != document.text:
            _replace(Path(document.name), document.fixed)
            echo(f"{document.name}: corrected", err=True)
        elif not document.is_manifest:
            for entry in document.entries:
                if entry.fixed is not None:
                    echo_data(f"- name: {entry.name}\n  data: {entry.fixed}")


def _print_corrected(document: Document, at: dt.datetime) -> None:
    """Print a manifest whose lists are all right now. What is wrong elsewhere may be a pasted private key."""
    content = document.fixed.encode()
    left = check_report.review(check_documents.link([check_documents.read(STANDARD_INPUT, content)]), at)
    if not document.entries or left.exit_code == check_report.ERRORS or holds_private_key(content):
        echo("Not printed: there is no list in it, or an error that --fix cannot correct", err=True)
    else:
        echo_data(document.fixed, nl=False)


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, with the rights it had."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, newline="", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(path.stat().st_mode)
    Path(file.name).replace(path)
