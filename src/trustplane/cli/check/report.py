"""Report of `trustplane check`: findings, certificates and hosts, as JSON and as SARIF 2.1.0 for CI."""

import datetime as dt
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gox509 import GoCertificate, MalformedError
from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.lint import Listed, lint_certificates
from trustplane.certificates.parsing import Certificate
from trustplane.cli.check.documents import CheckedFile
from trustplane.cli.check.entries import ListedEntry
from trustplane.registry.inspection import HostReport
from trustplane.trust.entries import check_entry_name
from trustplane.trust.merge import check_set_size

GOOD, ERRORS, UNDECIDED = 0, 1, 2

Json = dict[str, Any]
_CACHE_SIZE = 4096  # certificates; parses each once for all columns
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True)
class LocatedFinding:
    """A finding with its file and line."""

    file: str
    line: int
    finding: Finding


@dataclass(frozen=True)
class CheckReport:
    """The result of a check."""

    findings: tuple[LocatedFinding, ...]
    certificates: tuple[Listed, ...]
    hosts: tuple[HostReport, ...] = ()
    undecided: tuple[str, ...] = field(default=())  # what could not be checked, and why

    @property
    def exit_code(self) -> int:
        """GOOD, ERRORS or UNDECIDED; errors take precedence."""
        refused = any(host.verdict is not None and not host.trusted for host in self.hosts)
        if refused or any(located.finding.severity is Severity.ERROR for located in self.findings):
            return ERRORS
        unanswered = any(host.verdict is None or host.failure for host in self.hosts)
        return UNDECIDED if self.undecided or unanswered else GOOD


def review(files: Sequence[CheckedFile], at: dt.datetime) -> CheckReport:
    """Check linked files: encoding, names and certificates of entries, and variables of Clusters."""
    located: list[LocatedFinding] = []
    listed: list[Listed] = []
    for file in files:
        located += [LocatedFinding(file.name, line, finding) for line, finding in file.findings]
        for _, group in itertools.groupby(file.entries, key=lambda entry: entry.owner):
            entries = list(group)
            own = [Listed(entry.where, certificate) for entry in entries for certificate in entry.parsed.certificates]
            lines = {entry.where: entry.line for entry in entries}
            findings = (*_list_findings(file, entries), *lint_certificates(own, at))
            located += [LocatedFinding(file.name, lines[finding.where], finding) for finding in findings]
            listed += own
    undecided = tuple(text for file in files for text in file.undecided)
    return CheckReport(tuple(located), tuple(listed), undecided=undecided)


def _list_findings(file: CheckedFile, entries: Sequence[ListedEntry]) -> Iterator[Finding]:
    """Yield the findings about one list: its entries, their names, and their number."""
    names: set[str] = set()
    for entry in entries:
        name_finding = (entry.name_refusal or check_entry_name(entry.name, names)) if file.is_manifest else None
        if name_finding:
            yield name_finding.at(entry.where)
        names.add(entry.name)
        yield from (finding.at(entry.where) for finding in entry.findings)
    size = sum(len(certificate.pem) for entry in entries for certificate in entry.parsed.certificates)
    excess = check_set_size(len(entries), size) if file.is_manifest else None
    if excess:
        yield excess.at(entries[0].where)


def is_ca(certificate: Certificate) -> bool:
    """Return whether nodes accept a certificate as a CA."""
    parsed = go_certificate(certificate)
    return parsed is not None and parsed.may_sign


def issuer(certificate: Certificate) -> str:
    """Return the issuer's name; empty if the certificate is unreadable for nodes."""
    parsed = go_certificate(certificate)
    return str(parsed.issuer) if parsed else ""


@functools.lru_cache(maxsize=_CACHE_SIZE)
def go_certificate(certificate: Certificate) -> GoCertificate | None:
    """Parse a certificate like nodes do; None if they cannot."""
    try:
        return GoCertificate.read(certificate.der)
    except MalformedError:
        return None


def as_json(report: CheckReport) -> Json:
    """Return the report for programs."""
    return {
        "exitCode": report.exit_code,
        "findings": [_finding(located) for located in report.findings],
        "certificates": [_certificate(item.where, item.certificate) for item in report.certificates],
        "hosts": [_host(host) for host in report.hosts],
        "undecided": list(report.undecided),
    }


def _finding(located: LocatedFinding) -> Json:
    finding = located.finding
    return {
        "file": located.file,
        "line": located.line,
        "where": finding.where,
        "severity": str(finding.severity),
        "code": finding.code,
        "what": finding.what,
        "why": finding.why,
        "nextStep": finding.next_step,
    }


def _certificate(where: str, certificate: Certificate) -> Json:
    return {
        "where": where,
        "subject": certificate.subject,
        "issuer": issuer(certificate),
        "sha256": certificate.fingerprint,
        "expires": certificate.expires.isoformat(),
        "ca": is_ca(certificate),
    }


def _host(host: HostReport) -> Json:
    verdict = host.verdict
    return {
        "role": host.role,
        "address": str(host.address),
        "trusted": host.trusted,
        "cause": host.cause,
        "alsoPossible": [str(cause) for cause in verdict.also_possible] if verdict else [],
        "message": _message(host),
        "stopped": verdict.stopped if verdict else "",
        "openssl": host.openssl,
        "tls": host.served.tls_version,
        "chain": [{"subject": str(link), "sha256": link.fingerprint} for link in verdict.chain] if verdict else [],
        "anchors": list(verdict.anchors) if verdict else [],
        "missing": {"subject": str(host.missing), "sha256": host.missing.fingerprint} if host.missing else None,
    }


def as_sarif(report: CheckReport, file: str) -> Json:
    """Return the findings as SARIF, which code hosting platforms show next to the lines.

    Args:
        report: the result of the check.
        file: the first file, for findings without a line: hosts refused by nodes.
    """
    hosts = [_host_finding(host, file) for host in report.hosts if host.cause]
    findings = [located.finding for located in (*report.findings, *hosts)]
    rules = {finding.code: finding.why or finding.what for finding in findings}
    driver = {
        "name": "trustplane check",
        "rules": [{"id": code, "shortDescription": {"text": text}} for code, text in rules.items()],
    }
    notifications = [{"level": "warning", "message": {"text": text}} for text in report.undecided]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
        "results": [_result(located) for located in (*report.findings, *hosts)],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _host_finding(host: HostReport, file: str) -> LocatedFinding:
    """Return the finding for a refused or unresponsive host."""
    severity = Severity.ERROR if host.verdict and not host.trusted else Severity.WARNING
    what = f"{host.role} {host.address}: {host.cause}"
    return LocatedFinding(file, 1, Finding(code=host.cause, severity=severity, what=what, why=_message(host)))


def _message(host: HostReport) -> str:
    if host.verdict and not host.trusted:
        return host.verdict.message
    return host.failure.message if host.failure else ""


def _result(located: LocatedFinding) -> Json:
    location = {
        "artifactLocation": {"uri": quote(located.file, errors="surrogateescape")},
        "region": {"startLine": located.line},
    }
    return {
        "ruleId": located.finding.code,
        "level": "error" if located.finding.severity is Severity.ERROR else "warning",
        "message": {"text": str(located.finding)},
        "locations": [{"physicalLocation": location}],
    }
