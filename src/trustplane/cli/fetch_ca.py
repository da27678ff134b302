"""`trustplane fetch-ca`: what a registry serves, and the entry that would make nodes trust it, to be confirmed."""

import datetime as dt
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from trustplane.certificates.parsing import parse_der
from trustplane.certificates.repair import encode, read_any
from trustplane.certificates.verification import GoCertificate, MalformedError, Pool, Verdict, verify
from trustplane.cli.check_report import CANNOT_TELL, ERRORS, GOOD
from trustplane.cli.check_tables import grouped
from trustplane.cli.console import progress
from trustplane.cli.options import examples
from trustplane.cli.output import echo, echo_data, echo_json
from trustplane.registry.address import Address
from trustplane.registry.dial import dial
from trustplane.registry.failure import RegistryError
from trustplane.registry.issuers import fetch

_MAX_FETCHED = 4


@dataclass(frozen=True)
class Proposal:
    """What to add to a list so that nodes trust a host."""

    name: str
    certificate: GoCertificate
    data: str
    verdict: Verdict  # of a node with this entry alone


@click.command(
    epilog=examples(
        ("trustplane fetch-ca harbor.corp.example", "the entry that would make nodes trust it"),
        ("trustplane fetch-ca 10.0.0.5:5000 --follow-aia", "where the server leaves its CA out"),
        ("trustplane fetch-ca harbor.corp.example -o json | jq -r .proposal.sha256", "for scripts"),
    )
)
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--follow-aia", is_flag=True, help="Fetch the CA from where the served chain says, if it is not served.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(*, host: str, follow_aia: bool, output: str) -> None:
    """Show the chain that a registry serves, and propose the entry to add to a list of CAs.

    Nothing is trusted or changed. Whoever stands between here and the registry can serve a chain of their own: compare
    the fingerprint with the CA's owner, by telephone or in person, before you add the entry. Exit status: 0 an entry
    is proposed, 1 it would not be enough, 2 there is none to propose.
    """
    address = Address.read(host)
    with progress(f"Asking {address}"):
        served = _served(address)
        chain = [*served, *(_fetched(served[-1], address) if follow_aia else ())]
    proposal = propose(address, served, chain, dt.datetime.now(dt.UTC))
    if output == "json":
        echo_json(_json(address, served, proposal))
    else:
        _show(address, served, proposal)
    sys.exit(CANNOT_TELL if proposal is None else GOOD if proposal.verdict.trusted else ERRORS)


def propose(
    address: Address, served: Sequence[GoCertificate], chain: Sequence[GoCertificate], at: dt.datetime
) -> Proposal | None:
    """Choose the certificate to list: the root where it was served, else the highest CA, else a self-signed server."""
    authorities = [one for one in chain if one.may_sign and one is not served[0]]
    roots = [one for one in authorities if one.is_self_issued]
    candidates = [*roots, *reversed(authorities), *(one for one in served[:1] if one.is_self_issued)]
    ders = [one.raw for one in served]
    made = [_proposal(one, verify(ders, Pool([one]), address.host, at)) for one in candidates]
    return next((one for one in made if one.verdict.trusted), made[0] if made else None)


def _proposal(one: GoCertificate, verdict: Verdict) -> Proposal:
    label = one.subject.common_name or one.subject.organization or one.fingerprint[:10]
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "ca"
    return Proposal(name, one, encode(parse_der(one.raw).certificates), verdict)


def _served(address: Address) -> list[GoCertificate]:
    answer = dial(address)
    if answer.failure:
        raise RegistryError(
            f"{address} serves no certificate: {answer.failure.cause}",
            why=answer.failure.message,
            next_step="Check the address, and that this machine reaches it",
        )
    try:
        return [GoCertificate.read(der) for der in answer.certificates]
    except MalformedError as error:
        raise RegistryError(
            f"{address} serves a certificate that nodes cannot read",
            why=str(error),
            next_step="Have the registry's certificate issued anew",
        ) from error


def _fetched(last: GoCertificate, registry: Address) -> list[GoCertificate]:
    """Follow the chain's end to where its issuer's certificate is published."""
    found: list[GoCertificate] = []
    while not last.is_self_issued and len(found) < _MAX_FETCHED:
        contents = [fetch(url, registry) for url in last.extensions.ca_issuers[:1]]
        ders = [one.der for content in contents for one in read_any(content).certificates[:1]]
        issuers = list(Pool.read(ders))
        if not issuers:
            break
        last = issuers[0]
        found.append(last)
    return found


def _show(address: Address, served: Sequence[GoCertificate], proposal: Proposal | None) -> None:
    echo(f"{address} serves")
    for level, one in enumerate(served):
        echo(f"  {'  ' * level}{one} (until {one.not_after.text})")
    if proposal is None:
        echo(f"\nThe CA {served[-1].issuer} is not served: ask its owner for its certificate,")
        echo("or look where the chain says it is published: --follow-aia")
        return
    certificate = proposal.certificate
    echo(f"\nThe entry to add would be {certificate}. SHA-256:\n  {grouped(certificate.fingerprint)}")
    echo("Compare these digits with the CA's owner before you add it: what is served here may be anybody's.\n")
    echo_data(f"- name: {proposal.name}\n  data: {proposal.data}")
    if not proposal.verdict.trusted:
        echo(f"\nIt would not be enough: {proposal.verdict.message} ({proposal.verdict.cause})")


def _json(address: Address, served: Sequence[GoCertificate], proposal: Proposal | None) -> dict[str, object]:
    return {
        "address": str(address),
        "served": [
            {"subject": str(one), "issuer": str(one.issuer), "sha256": one.fingerprint, "expires": one.not_after.text}
            for one in served
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
