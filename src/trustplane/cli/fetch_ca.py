"""`trustplane fetch-ca`: show a registry's chain and propose the entry that makes nodes trust it."""

import datetime as dt
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from gox509 import GoCertificate, MalformedError, Pool, Verdict, verify
from trustplane.certificates.parsing import parse_der
from trustplane.certificates.repair import encode, read_any
from trustplane.cli.check.report import ERRORS, GOOD, UNDECIDED
from trustplane.cli.check.tables import grouped
from trustplane.cli.console import progress
from trustplane.cli.epilog import examples
from trustplane.cli.output import echo, echo_data, echo_json
from trustplane.registry.address import Address
from trustplane.registry.dial import dial
from trustplane.registry.failure import RegistryError
from trustplane.registry.issuers import fetch

_MAX_FETCHED = 4


@dataclass(frozen=True)
class Proposal:
    """The entry that would make nodes trust a host."""

    name: str
    certificate: GoCertificate
    data: str
    verdict: Verdict  # of a node with only this entry


@click.command(
    epilog=examples(
        ("trustplane fetch-ca harbor.corp.example", "the entry that would make nodes trust it"),
        ("trustplane fetch-ca 10.0.0.5:5000 --follow-aia", "if the server does not send its CA"),
        ("trustplane fetch-ca harbor.corp.example -o json | jq -r .proposal.sha256", "for scripts"),
    )
)
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--follow-aia", is_flag=True, help="If the CA is not served, fetch it from the URL in the chain.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format.",
)
def command(*, host: str, follow_aia: bool, output: str) -> None:
    """Show the chain served by a registry, and propose the entry to add to a trust list.

    The command trusts and changes nothing. An attacker between this machine and the registry could serve another chain:
    before you add the entry, compare its fingerprint with the CA's owner, by telephone or in person.

    Exit status: 0 an entry is proposed, 1 the proposed entry is not enough, 2 no entry to propose.
    """
    address = Address.read(host)
    with progress(f"Connecting to {address}"):
        served = _fetch_chain(address)
        chain = [*served, *(_fetch_issuers(served[-1], address) if follow_aia else ())]
    proposal = propose(address, served, chain, dt.datetime.now(dt.UTC))
    if output == "json":
        echo_json(_json(address, served, proposal))
    else:
        _show(address, served, proposal)
    sys.exit(UNDECIDED if proposal is None else GOOD if proposal.verdict.trusted else ERRORS)


def propose(
    address: Address, served: Sequence[GoCertificate], chain: Sequence[GoCertificate], at: dt.datetime
) -> Proposal | None:
    """Choose the certificate to list: the root if available, else the highest CA, else a self-signed server."""
    authorities = [certificate for certificate in chain if certificate.may_sign and certificate is not served[0]]
    roots = [authority for authority in authorities if authority.is_self_issued]
    candidates = [*roots, *reversed(authorities), *(server for server in served[:1] if server.is_self_issued)]
    ders = [certificate.raw for certificate in served]
    proposals = [_proposal(candidate, verify(ders, Pool([candidate]), address.host, at)) for candidate in candidates]
    return next((proposal for proposal in proposals if proposal.verdict.trusted), proposals[0] if proposals else None)


def _proposal(certificate: GoCertificate, verdict: Verdict) -> Proposal:
    subject = certificate.subject
    label = subject.common_name or subject.organization or certificate.fingerprint[:10]
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "ca"
    return Proposal(name, certificate, encode(parse_der(certificate.raw).certificates), verdict)


def _fetch_chain(address: Address) -> list[GoCertificate]:
    answer = dial(address)
    if answer.failure:
        raise RegistryError(
            f"{address} serves no certificate: {answer.failure.cause}",
            why=answer.failure.message,
            next_step="Check the address, and the connection from this machine",
        )
    try:
        return [GoCertificate.read(der) for der in answer.certificates]
    except MalformedError as error:
        raise RegistryError(
            f"{address} serves a certificate that is unreadable for nodes",
            why=str(error),
            next_step="Have the registry's certificate reissued",
        ) from error


def _fetch_issuers(last: GoCertificate, registry: Address) -> list[GoCertificate]:
    """Fetch missing issuers from the URLs published in the certificates, starting at the end of the chain."""
    fetched: list[GoCertificate] = []
    while not last.is_self_issued and len(fetched) < _MAX_FETCHED:
        contents = [fetch(url, registry) for url in last.extensions.ca_issuers[:1]]
        ders = [certificate.der for content in contents for certificate in read_any(content).certificates[:1]]
        issuers = list(Pool.read(ders))
        if not issuers:
            break
        last = issuers[0]
        fetched.append(last)
    return fetched


def _show(address: Address, served: Sequence[GoCertificate], proposal: Proposal | None) -> None:
    echo(f"{address} serves")
    for level, certificate in enumerate(served):
        echo(f"  {'  ' * level}{certificate} (until {certificate.not_after.text})")
    if proposal is None:
        echo(f"\nThe CA {served[-1].issuer} is not served: request its certificate from its owner,")
        echo("or fetch it from the URL in the chain: --follow-aia")
        return
    certificate = proposal.certificate
    echo(f"\nProposed entry: {certificate}. SHA-256:\n  {grouped(certificate.fingerprint)}")
    echo("Compare these digits with the CA's owner before you add it: an attacker could have served this chain.\n")
    echo_data(f"- name: {proposal.name}\n  data: {proposal.data}")
    if not proposal.verdict.trusted:
        echo(f"\nThis entry is not enough: {proposal.verdict.message} ({proposal.verdict.cause})")


def _json(address: Address, served: Sequence[GoCertificate], proposal: Proposal | None) -> dict[str, object]:
    return {
        "address": str(address),
        "served": [
            {
                "subject": str(certificate),
                "issuer": str(certificate.issuer),
                "sha256": certificate.fingerprint,
                "expires": certificate.not_after.text,
            }
            for certificate in served
        ],
        "proposal": {
            "name": proposal.name,
            "data": proposal.data,
            "subject": str(proposal.certificate),
            "sha256": proposal.certificate.fingerprint,
            "trusted": proposal.verdict.trusted,
            "cause": proposal.verdict.cause,
        }
        if proposal
        else None,
    }
