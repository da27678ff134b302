"""The outcome of `trustplane check`: findings, certificates and hosts, as JSON and as SARIF 2.1.0 for CI."""

import datetime as dt
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.lint import Listed, lint_certificates
from trustplane.certificates.parsing import Certificate
from trustplane.certificates.verification import GoCertificate, MalformedError
from trustplane.cli.check_documents import Document, Entry
from trustplane.registry.inspection import HostReport
from trustplane.trust.effective import too_many
from trustplane.trust.entries import judge_name

GOOD, ERRORS, CANNOT_TELL = 0, 1, 2

Json = dict[str, Any]
_REMEMBERED = 4096  # certificates, so that each is read once for all columns
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True)
class Place:
    """A finding, and the line of the file it is about."""

    file: str
    line: int
    finding: Finding


@dataclass(frozen=True)
class Report:
    """All that was found."""

    places: tuple[Place, ...]
    certificates: tuple[Listed, ...]
    hosts: tuple[HostReport, ...] = ()
    undecided: tuple[str, ...] = field(default=())  # what could not be looked at, and why

    @property
    def exit_code(self) -> int:
        """0 good, 1 errors, 2 cannot tell; errors count more."""
        refused = any(one.verdict is not None and not one.trusted for one in self.hosts)
        if refused or any(one.finding.severity is Severity.ERROR for one in self.places):
            return ERRORS
        unheard = any(one.verdict is None or one.failure for one in self.hosts)
        return CANNOT_TELL if self.undecided or unheard else GOOD


def review(documents: Sequence[Document], at: dt.datetime) -> Report:
    """Judge linked documents: how each entry is written, its name, its certificates, and variables of Clusters."""
    places: list[Place] = []
    listed: list[Listed] = []
    for document in documents:
        places += [Place(document.name, line, finding) for line, finding in document.places]
        for _, group in itertools.groupby(document.entries, key=lambda entry: entry.owner):
            entries = list(group)
            own = [Listed(entry.where, one) for entry in entries for one in entry.parsed.certificates]
            lines = {entry.where: entry.line for entry in entries}
            findings = (*_list_findings(document, entries), *lint_certificates(own, at))
            places += [Place(document.name, lines[one.where], one) for one in findings]
            listed += own
    undecided = tuple(text for document in documents for text in document.undecided)
    return Report(tuple(places), tuple(listed), undecided=undecided)


def _list_findings(document: Document, entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield what is wrong about the entries of one list, each alone, and about their names and their number."""
    seen: set[str] = set()
    for entry in entries:
        named = judge_name(entry.name, seen) if document.is_manifest else None
        if named:
            yield named.at(entry.where)
        seen.add(entry.name)
        yield from (one.at(entry.where) for one in entry.findings)
    octets = sum(len(one.pem) for entry in entries for one in entry.parsed.certificates)
    excess = too_many(len(entries), octets) if document.is_manifest else None
    if excess:
        yield excess.at(entries[0].where)


def is_ca(certificate: Certificate) -> bool:
    """Tell whether nodes take a certificate as a CA."""
    read = go_certificate(certificate)
    return read is not None and read.may_sign


def issuer(certificate: Certificate) -> str:
    """Return the issuer's name, or nothing where nodes cannot read the certificate."""
    read = go_certificate(certificate)
    return str(read.issuer) if read else ""


@functools.lru_cache(maxsize=_REMEMBERED)
def go_certificate(certificate: Certificate) -> GoCertificate | None:
    """Read a certificate as nodes do; None where they cannot."""
    try:
        return GoCertificate.read(certificate.der)
    except MalformedError:
        return None


def as_json(report: Report) -> Json:
    """Return the report for programs."""
    return {
        "exitCode": report.exit_code,
        "findings": [_finding(one) for one in report.places],
        "certificates": [_certificate(one.where, one.certificate) for one in report.certificates],
        "hosts": [_host(one) for one in report.hosts],
        "undecided": list(report.undecided),
    }


def _finding(one: Place) -> Json:
    finding = one.finding
    return {
        "file": one.file,
        "line": one.line,
        "where": finding.where,
        "severity": str(finding.severity),
        "code": finding.code,
        "what": finding.what,
        "why": finding.why,
        "nextStep": finding.next_step,
    }


def _certificate(where: str, one: Certificate) -> Json:
    return {
        "where": where,
        "subject": one.subject,
        "issuer": issuer(one),
        "sha256": one.fingerprint,
        "expires": one.expires.isoformat(),
        "ca": is_ca(one),
    }


def _host(one: HostReport) -> Json:
    verdict = one.verdict
    return {
        "role": one.role,
        "address": str(one.address),
        "trusted": one.trusted,
        "cause": one.cause,
        "alsoPossible": [str(cause) for cause in verdict.also_possible] if verdict else [],
        "message": _message(one),
        "stopped": verdict.stopped if verdict else "",
        "openssl": one.openssl,
        "tls": one.served.tls_version,
        "chain": [{"subject": str(link), "sha256": link.fingerprint} for link in verdict.chain] if verdict else [],
        "anchors": list(verdict.anchors) if verdict else [],
        "missing": {"subject": str(one.missing), "sha256": one.missing.fingerprint} if one.missing else None,
    }


def as_sarif(report: Report, file: str) -> Json:
    """Return the findings as SARIF, which code hosts show beside the lines they are about.

    Args:
        report: The outcome.
        file: The first file, for what is about no line of any: hosts that nodes refuse.
    """
    hosts = [_refusal(one, file) for one in report.hosts if one.cause]
    findings = [one.finding for one in (*report.places, *hosts)]
    rules = {one.code: one.why or one.what for one in findings}
    driver = {
        "name": "trustplane check",
        "rules": [{"id": code, "shortDescription": {"text": text}} for code, text in rules.items()],
    }
    notifications = [{"level": "warning", "message": {"text": text}} for text in report.undecided]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
        "results": [_result(one) for one in (*report.places, *hosts)],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _refusal(host: HostReport, file: str) -> Place:
    """Return a host that nodes refuse, or that does not answer, as a finding."""
    severity = Severity.ERROR if host.verdict and not host.trusted else Severity.WARNING
    what = f"{host.role} {host.address}: {host.cause}"
    return Place(file, 1, Finding(code=host.cause, severity=severity, what=what, why=_message(host)))


def _message(host: HostReport) -> str:
    if host.verdict and not host.trusted:
        return host.verdict.message
    return host.failure.message if host.failure else ""


def _result(one: Place) -> Json:
    location = {
        "artifactLocation": {"uri": quote(one.file, errors="surrogateescape")},
        "region": {"startLine": one.line},
    }
    return {
        "ruleId": one.finding.code,
        "level": "error" if one.finding.severity is Severity.ERROR else "warning",
        "message": {"text": str(one.finding)},
        "locations": [{"physicalLocation": location}],
    }
