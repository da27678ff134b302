"""The outcome of `trustplane check`: findings, certificates and hosts, as JSON and as SARIF 2.1.0 for CI."""

import datetime as dt
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.lint import Listed, lint_certificates
from trustplane.certificates.parsing import Certificate
from trustplane.certificates.verification import GoCertificate, MalformedError
from trustplane.cli.check_documents import Document, Entry
from trustplane.registry.inspection import HostReport
from trustplane.trust.entries import BAD_NAME, DUPLICATE_NAME, is_name

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
    """Judge documents: how each entry is written, its name, and its certificates."""
    places: list[Place] = []
    listed: list[Listed] = []
    undecided: list[str] = []
    for document in documents:
        lines: dict[str, int] = {}
        own: list[Listed] = []
        for entry, findings in _entries(document):
            lines[entry.where] = entry.line
            places += [Place(document.name, entry.line, one.at(entry.where)) for one in findings]
            own += [Listed(entry.where, one) for one in entry.parsed.certificates]
        places += [Place(document.name, lines[one.where], one) for one in lint_certificates(own, at)]
        listed += own
        if document.is_manifest and not document.entries:
            found = ", ".join(document.unknown) or "empty lists"
            undecided.append(f"{document.name} holds no CAs, only: {found}")
    return Report(tuple(places), tuple(listed), undecided=tuple(undecided))


def _entries(document: Document) -> Iterator[tuple[Entry, list[Finding]]]:
    """Yield entries with what is wrong about each alone, and about names in one list."""
    seen: set[tuple[str, str]] = set()
    for entry in document.entries:
        findings = list(entry.findings)
        owner = entry.where.partition("[")[0]
        if document.is_manifest and not is_name(entry.name):
            findings.insert(0, BAD_NAME)
        elif document.is_manifest and (owner, entry.name) in seen:
            findings.insert(0, DUPLICATE_NAME)
        seen.add((owner, entry.name))
        yield entry, findings


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
        "message": verdict.message if verdict and not verdict.trusted else one.failure.message if one.failure else "",
        "stopped": verdict.stopped if verdict else "",
        "openssl": one.openssl,
        "tls": one.served.tls_version,
        "chain": [{"subject": str(link), "sha256": link.fingerprint} for link in verdict.chain] if verdict else [],
        "anchors": list(verdict.anchors) if verdict else [],
        "missing": {"subject": str(one.missing), "sha256": one.missing.fingerprint} if one.missing else None,
    }


def as_sarif(report: Report) -> Json:
    """Return the findings as SARIF, which code hosts show beside the lines they are about."""
    rules = {one.finding.code: one.finding for one in report.places}
    driver = {
        "name": "trustplane check",
        "rules": [{"id": code, "shortDescription": {"text": rule.why or rule.what}} for code, rule in rules.items()],
    }
    run = {"tool": {"driver": driver}, "results": [_result(one) for one in report.places]}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(one: Place) -> Json:
    location = {"artifactLocation": {"uri": one.file}, "region": {"startLine": one.line}}
    return {
        "ruleId": one.finding.code,
        "level": "error" if one.finding.severity is Severity.ERROR else "warning",
        "message": {"text": str(one.finding)},
        "locations": [{"physicalLocation": location}],
    }
