"""`trustplane check`: what nodes will make of a list of CAs, before it is applied."""

import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from trustplane.certificates.repair import read_any
from trustplane.certificates.verification import Pool
from trustplane.cli import check_documents, check_report, check_tables
from trustplane.cli.check_documents import MAX_OCTETS, STANDARD_INPUT, Document
from trustplane.cli.check_report import Report
from trustplane.errors import UserError
from trustplane.registry.address import Address
from trustplane.registry.hosts import Image
from trustplane.registry.inspection import HostReport, inspect

_WIDE = 10_000  # characters: output that is not a terminal is not wrapped


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--registry", "registries", multiple=True, metavar="HOST[:PORT]", help="Dial it, and decide as a node.")
@click.option("--image", metavar="REPOSITORY[:TAG]", help="Find the blob host by this public image of the registry.")
@click.option("--follow-aia", is_flag=True, help="Fetch issuers that the server does not send from where it says.")
@click.option("--node-bundle", type=click.Path(path_type=Path), help="CAs that nodes trust anyway, as PEM.")
@click.option("--at", metavar="TIME", help="Decide for this time (RFC 3339) in place of now.")
@click.option("--fix", is_flag=True, help="Write corrected data into the manifests; print it for other files.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "sarif"]), default="table", show_default=True)
def command(
    *,
    files: tuple[str, ...],
    registries: tuple[str, ...],
    image: str | None,
    follow_aia: bool,
    node_bundle: Path | None,
    at: str | None,
    fix: bool,
    output: str,
) -> None:
    """Say what nodes will make of lists of CAs.

    FILE is a manifest (TkgServiceConfiguration, TanzuKubernetesCluster, the Secret of a cluster's own CAs), PEM, DER,
    base64 of PEM, or - for standard input. Exit status: 0 good, 1 errors, 2 cannot tell.
    """
    time = _time(at)
    documents = [check_documents.read(name, _content(name)) for name in files]
    report = check_report.review(documents, time)
    if registries:
        trust = _pool(documents, node_bundle)
        wanted = Image.read(image) if image else None
        hosts: list[HostReport] = []
        for address in [Address.read(registry) for registry in registries]:
            hosts += inspect(address, trust, time, image=wanted, follow_issuers=follow_aia)
        report = replace(report, hosts=tuple(hosts))
    _show(report, output)
    if fix:
        _fix(documents)
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


def _content(name: str) -> bytes:
    try:
        if name == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_OCTETS + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise UserError(f"{name} cannot be read", why=error.strerror or str(error)) from error
    if len(content) > MAX_OCTETS:
        raise UserError(f"{name} is larger than {MAX_OCTETS >> 20} MB", next_step="Give the list of CAs only")
    return content


def _pool(documents: Sequence[Document], bundle: Path | None) -> Pool:
    """Return what a node with these lists trusts."""
    ders = [one.der for document in documents for entry in document.entries for one in entry.parsed.certificates]
    if bundle:
        ders += [one.der for one in read_any(_content(str(bundle))).certificates]
    return Pool.read(ders)


def _show(report: Report, output: str) -> None:
    if output == "table":
        width = None if sys.stdout.isatty() else _WIDE
        check_tables.show(Console(width=width), report)
    else:
        document = check_report.as_json(report) if output == "json" else check_report.as_sarif(report)
        click.echo(json.dumps(document, indent=2))


def _fix(documents: Sequence[Document]) -> None:
    for document in documents:
        if document.is_manifest and document.name != STANDARD_INPUT:
            if document.fixed != document.text:
                _replace(Path(document.name), document.fixed)
                click.echo(f"{document.name}: corrected", err=True)
        elif document.is_manifest:
            click.echo(document.fixed, nl=False)
        else:
            for entry in document.entries:
                if entry.fixed is not None:
                    click.echo(f"- name: {entry.name}\n  data: {entry.fixed}")


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, with the rights it had."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, newline="", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(path.stat().st_mode)
    Path(file.name).replace(path)
