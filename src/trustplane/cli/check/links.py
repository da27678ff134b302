"""Links between Clusters and Secrets, across all files of a call."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from trustplane.cli.check import bundles, clusters, os_configuration
from trustplane.cli.check.clusters import ManifestSecret, VariableReport
from trustplane.cli.check.documents import CheckedFile
from trustplane.cli.check.entries import ListedEntry, is_users_secret, pem_value, user_value, value_place
from trustplane.clusterapi.secret import entry_key


def link_secrets(files: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Resolve the Secrets of Clusters' variables across all files, and add the findings to the files."""
    secrets = [secret for file in files for secret in file.secrets if secret.kind == "Secret"]
    reports = [[clusters.check_variable(variable, secrets) for variable in file.variables] for file in files]
    resolved = [os_configuration.resolve(file.references, secrets) for file in files]
    named = {report.secret for of_file in reports for report in of_file if report.secret}
    referenced = {entry.where for of_file in resolved for entry in of_file.entries}
    return [
        _linked(file, of_file, references, named, referenced)
        for file, of_file, references in zip(files, reports, resolved, strict=True)
    ]


def _linked(
    file: CheckedFile,
    reports: Sequence[VariableReport],
    references: os_configuration.Resolved,
    named: Container[ManifestSecret],
    referenced: Container[str],
) -> CheckedFile:
    entries = list(file.entries)
    for secret in file.secrets:
        if secret in named:
            entries += (pem_value(secret, value, value.key.removesuffix(entry_key(""))) for value in secret.values)
        elif is_users_secret(secret):
            entries += _user_secret(secret)
        else:
            entries += (user_value(secret, value, value.key) for value in secret.values
                        if value_place(secret, value) in referenced)  # fmt: skip
            entries += (entry for entry in bundles.read_bundles(secret) if entry.where not in referenced)
    findings = ((report.variable.line, finding) for report in reports for finding in report.findings)
    return replace(
        file,
        entries=tuple(entries),
        findings=(*file.findings, *findings, *references.findings),
        undecided=(
            *file.undecided,
            *(report.undecided for report in reports if report.undecided),
            *references.undecided,
        ),
    )


def _user_secret(secret: ManifestSecret) -> Iterator[ListedEntry]:
    """Yield the CAs of a Secret <cluster>-user-trusted-ca-secret: its values encode an entry's `data` in base64."""
    if is_users_secret(secret):
        yield from (user_value(secret, value, value.key) for value in secret.values)
