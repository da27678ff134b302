"""A registry can serve more than the status of its Registry can hold."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.unit.api.limits import schema_of, violations
from tests.unit.controllers.fleet import Fleet

from trustplane.api.keys import Key
from trustplane.api.registry import MAX_CHAIN, MAX_SUBJECT
from trustplane.controllers.registries import chain, controller
from trustplane.controllers.registries.controller import RegistryReconciler
from trustplane.registry.dial import Served
from trustplane.trust.entries import EMPTY_SET

NOW = dt.datetime.now(dt.UTC)


def certificate(*names: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False) for name in names])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(days=9)).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ([certificate("ca")] * (MAX_CHAIN + 1), "The registry serves 21 certificates; the first 20 are listed"),
        ([certificate(*["A" * 60] * 100)], "The registry serves 1 certificates"),
        ([certificate("\x1b[2J\x1b]0;gone\x07")], "The registry serves 1 certificates"),
    ],
)
async def test_the_status_of_any_served_chain_can_be_written(
    served: list[bytes], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "dial", lambda _: Served(tuple(served)))
    dialled = chain.dial_registry("r.test", EMPTY_SET, NOW)
    assert len(dialled.chain) <= MAX_CHAIN
    assert all(
        len(certificate.subject) <= MAX_SUBJECT and certificate.subject.isprintable() for certificate in dialled.chain
    )

    async def dial(*_: object) -> chain.DialResult:
        return dialled

    fleet = Fleet("a")
    reconciler = RegistryReconciler(fleet.server, fleet.view, fleet.recorder, namespace="system")  # type: ignore[arg-type]
    monkeypatch.setattr(controller.RegistryReconciler, "_dial", dial)
    await reconciler._index.reconcile(Key("shop", "a"))
    await reconciler.reconcile(Key("", "one"))
    [status] = fleet.statuses()
    assert not list(violations(status, schema_of("Registry")))
    [reachable] = [condition for condition in status["conditions"] if condition["type"] == "Reachable"]
    assert reachable["message"] == message
