"""Output of `trustplane check` for people."""

import textwrap

from rich.table import Table
from rich.text import Text

from trustplane.certificates.finding import Severity
from trustplane.certificates.lint import Listed
from trustplane.cli.check_report import CheckReport, LocatedFinding, is_ca, issuer
from trustplane.cli.console import Console
from trustplane.registry.inspection import HostReport

_MAX_FINDINGS = 1000  # printing more takes minutes
_GROUP = 4  # digits per group of a fingerprint


def show_report(console: Console, report: CheckReport) -> None:
    """Print certificates, findings, hosts and undecided checks."""
    if report.certificates:
        console.print(_certificates(report.certificates))
    for located in report.findings[:_MAX_FINDINGS]:
        _finding(console, located)
    if len(report.findings) > _MAX_FINDINGS:
        console.print(f"\n... and {len(report.findings) - _MAX_FINDINGS} more findings: -o json shows all")
    for host in report.hosts:
        _host(console, host)
    for text in report.undecided:
        console.print(Text.assemble(("?", "yellow"), f" {text}"), soft_wrap=True)
    errors = sum(located.finding.severity is Severity.ERROR for located in report.findings)
    counts = f"{len(report.certificates)} certificates, {errors} errors, {len(report.findings) - errors} warnings"
    console.print(f"\n{counts}")


def grouped(fingerprint: str) -> str:
    """Return a fingerprint in groups of digits, for comparison by telephone."""
    return " ".join(textwrap.wrap(fingerprint.upper(), _GROUP))


def _certificates(listed: tuple[Listed, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ENTRY", "SUBJECT", "ISSUER", "SHA-256", "EXPIRES", "CA"):
        table.add_column(column, overflow="fold")
    for item in listed:
        certificate = item.certificate
        table.add_row(
            item.where,
            certificate.subject,
            issuer(certificate),
            certificate.fingerprint,
            f"{certificate.expires:%Y-%m-%d}",
            "yes" if is_ca(certificate) else Text("no", "yellow"),
        )
    return table


def _finding(console: Console, located: LocatedFinding) -> None:
    finding = located.finding
    colour = "red" if finding.severity is Severity.ERROR else "yellow"
    where = f"{located.file}:{located.line}: {finding.where}" if finding.where != located.file else located.file
    head = Text.assemble("\n", (str(finding.severity).lower(), colour), " ", (finding.code, "bold"), f" {where}")
    console.print(head, soft_wrap=True)
    for title, text in (("", finding.what), ("why: ", finding.why), ("next: ", finding.next_step)):
        if text:
            console.print(f"  {title}{text}", soft_wrap=True)


def _host(console: Console, host: HostReport) -> None:
    sign = ("✓", "green") if host.trusted else ("✗", "red") if host.verdict else ("?", "yellow")
    outcome = "nodes with this list accept it" if host.trusted else host.cause
    console.print(Text.assemble("\n", sign, f" {host.role} {host.address}: {outcome}"), soft_wrap=True)
    for line in _details(host):
        console.print(f"  {line}", soft_wrap=True)


def _details(host: HostReport) -> list[str]:
    verdict = host.verdict
    chain = verdict.chain if verdict else ()
    lines = [f"{'  ' * level}{link} (SHA-256 {link.fingerprint})" for level, link in enumerate(chain)]
    if verdict and verdict.trusted:
        lines.append(f"anchor: {verdict.chain[-1]} (SHA-256 {verdict.anchor})")
    elif verdict:
        lines += [f"error on nodes: {verdict.message}", f"stopped at: {verdict.stopped}"]
        if verdict.also_possible:
            lines.append(f"also possible: {', '.join(verdict.also_possible)}")
    if host.openssl:
        lines.append(f"for comparison: {host.openssl}")
    if host.missing:
        lines.append(f"missing: {host.missing} (SHA-256 {host.missing.fingerprint}): configure the server to send it")
    if host.failure:
        lines.append(host.failure.message)
    return lines
