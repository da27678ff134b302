"""Every odd file: its name, its content, and what `trustplane check` finds in it on 2026-11-23."""

from oracle import drafts
from oracle.drafts import BASIC, EKU, KEY_USAGE, SAN, Draft
from oracle.encoding import dns, integer, time
from oracle.keyring import ODD_SCHEMES
from oracle.pem import data, pem

from assets.material import (
    GOOD,
    OTHER,
    ROOT,
    SECOND,
    block,
    cluster,
    encoded,
    encrypted_key_der,
    file,
    key,
    key_der,
    key_pem,
    keystore,
    many,
    odd,
    pkcs7,
    request,
    rsa_key,
    service,
    x25519_key,
)

AT = "2026-11-23T12:00:00Z"

Asset = tuple[bytes, list[str]]


def changed(label: str, **attributes: object) -> bytes:
    draft = odd(label)
    for name, value in attributes.items():
        setattr(draft, name, value)
    return file(draft.der)


def extended(label: str, kind: str, value: bytes, *, critical: bool = False) -> bytes:
    draft = odd(label)
    draft.put(kind, value, critical=critical)
    return file(draft.der)


def server() -> Draft:
    return drafts.server(key("server"), ROOT, dns("registry.example"))


def version_1() -> bytes:
    draft = odd("Version 1")
    draft.version = None
    draft.extensions.clear()
    return file(draft.der)


def without_basic_constraints() -> bytes:
    draft = odd("Not a CA")
    draft.drop(BASIC)
    return file(draft.der)


WRAPPED = "|\n" + "".join(f"        {data(GOOD)[at : at + 64]}\n" for at in range(0, len(data(GOOD)), 64))
BAG = (
    "Bag Attributes\n    friendlyName: corp\n    localKeyID: 54 69 6D 65\n"
    "subject=O = Lab, CN = Corp Root\n\nissuer=O = Lab, CN = Corp Root\n\n"
)
PGP = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nxVgEAAAAABYJKwYBBAHaRw8BAQdA\n-----END PGP PRIVATE KEY BLOCK-----\n"
NAMED_KEY = "\n".join(f"        {line}" for line in key_pem().splitlines())

WRITTEN: dict[str, Asset] = {
    "good.pem": (file(GOOD), []),
    "good.yaml": (service(("corp", data(GOOD)), ("other", data(SECOND))), []),
    "not-base64.yaml": (service(("corp", "'not base64!'")), ["error not-base64"]),
    "placeholder.yaml": (service(("corp", "base64-encoded string of a PEM encoded public cert 1")),
                         ["error placeholder"]),
    "template.yaml": (service(("corp", '"{{ .Values.caBundle }}"')), ["error placeholder"]),
    "typographic-dashes.yaml": (service(("corp", encoded(pem(GOOD).replace("-----", "\u2014\u2013\u2014")))),
                                ["error typographic-dashes"]),
    "literal-newlines.yaml": (service(("corp", encoded(pem(GOOD).replace("\n", "\\n")))), ["error literal-newlines"]),
    "pkcs7.yaml": (service(("corp", encoded(pkcs7(GOOD)))), ["error pkcs7"]),
    "ca.p7b": (pkcs7(GOOD), ["warning pkcs7"]),
    "keystore.yaml": (service(("corp", encoded(keystore(GOOD)))), ["error keystore"]),
    "truststore.jks": (keystore(GOOD), ["error keystore"]),
    "not-a-string.yaml": (service(("20240101", data(GOOD))), ["error not-a-string"]),
    "duplicate-key.yaml": (service(("corp", f"{data(GOOD)}\n      data: {data(SECOND)}")), ["error duplicate-key"]),
    "wrong-kind.yaml": (service(("corp", data(GOOD))).replace(b"TkgService", b"tkgService"), ["error wrong-kind"]),
    "misplaced-field.yaml": (service(("corp", data(GOOD))).replace(b"additionalTrustedCAs", b"additionalTrustedCas"),
                             ["error misplaced-field"]),
    "cut-base64.yaml": (service(("corp", data(GOOD)[:-5])), ["error not-base64"]),
    "pem-in-data.yaml": (service(("corp", "|\n" + "".join(f"        {line}\n" for line in pem(GOOD).splitlines()))),
                         ["error not-base64"]),
    "once-in-secret.yaml": (
        cluster("{additionalTrustedCAs: [{name: corp}]}", corp=GOOD).replace(
            encoded(data(GOOD)).encode(), data(GOOD).encode()
        ),
        ["error not-base64"],
    ),
    "double-base64.yaml": (service(("corp", encoded(data(GOOD)))), ["error double-base64"]),
    "base64-five-times.txt": (encoded(encoded(encoded(encoded(data(GOOD))))).encode(), ["error double-base64"]),
    "der.yaml": (service(("corp", encoded(GOOD))), ["error der"]),
    "der.crt": (GOOD, ["warning der"]),
    "utf-16.pem": (b"\xff\xfe" + pem(GOOD).encode("utf-16-le"), ["error utf-16"]),
    "utf-16.yaml": (service(("corp", encoded(b"\xff\xfe" + pem(GOOD).encode("utf-16-le")))), ["error utf-16"]),
    "no-certificate.yaml": (service(("corp", encoded("nothing here"))), ["error no-certificate"]),
    "signing-request.pem": (request().encode(), ["error no-certificate"]),
    "revocation-list.pem": (block("X509 CRL", b"\x30\x00").encode(), ["error no-certificate"]),
    "truncated.pem": (file(GOOD)[:200], ["error unparsable-certificate"]),
    "damaged.pem": (file(GOOD).replace(b"MII", b"MIJ", 1), ["error unparsable-certificate"]),
    "begin-line-damaged.pem": (file(GOOD) + file(SECOND).replace(b"CERTIFICATE-----\n", b"CERTIFICATE\n", 1),
                               ["error unparsable-certificate"]),
    "one-of-three-damaged.pem": (file(GOOD) + file(SECOND)[:90] + b"\n" + file(SECOND),
                                 ["error unparsable-certificate"]),
    "nul-bytes.pem": (file(GOOD).replace(b"\n", b"\n\0", 3), ["error unparsable-certificate"]),
    "nul-bytes-after.pem": (file(GOOD) + bytes(64), ["warning text-around"]),
    "too-large.yaml": (service(("corp", data(*many(100)))), ["error too-large", "warning several-certificates"]),
    "too-many.yaml": (service(*((f"ca-{n}", data(one)) for n, one in enumerate(many(181)))), ["error too-many"]),
    "bad-name.yaml": (service(("../passwd", data(GOOD))), ["error bad-name"]),
    "duplicate-name.yaml": (service(("corp", data(GOOD)), ("corp", data(SECOND))), ["error duplicate-name"]),
    "wrapped-base64.yaml": (service(("corp", WRAPPED.rstrip())), ["warning wrapped-base64"]),
    "crlf.pem": (file(GOOD).replace(b"\n", b"\r\n"), ["warning crlf"]),
    "bag-attributes.pem": (BAG.encode() + file(GOOD), ["warning text-around"]),
    "text-before-and-after.pem": (b"Our CA:\n" + file(GOOD) + b"Kind regards\n", ["warning text-around"]),
    "other-pem-blocks.pem": (file(GOOD) + block("X509 CRL", b"\x30\x00").encode(), ["warning other-pem-blocks"]),
    "several-certificates.pem": (file(GOOD, SECOND), ["warning several-certificates"]),
    "certificate-twice.pem": (file(GOOD, GOOD), ["warning several-certificates", "warning duplicate-certificate"]),
    "duplicate-certificate.yaml": (service(("corp", data(GOOD)), ("again", data(GOOD))),
                                   ["warning duplicate-certificate"]),
}  # fmt: skip
KEYS: dict[str, Asset] = {
    name: (content, ["error private-key"])
    for name, content in {
        "private-key.pem": key_pem().encode(),
        "private-key.der": key_der(),
        "private-key-inside.pem": file(GOOD) + key_pem().encode(),
        "private-key-inside.yaml": service(("corp", encoded(pem(GOOD) + key_pem()))),
        "private-key-as-certificate.pem": key_pem().replace("PRIVATE KEY", "CERTIFICATE").encode(),
        "private-key-without-begin-line.pem": file(GOOD) + key_pem().partition("\n")[2].encode(),
        "private-key-encoded-twice.yaml": service(("corp", encoded(encoded(key_pem())))),
        "private-key-utf-16.pem": b"\xff\xfe" + key_pem().encode("utf-16-le"),
        "encrypted-private-key.pem": block("ENCRYPTED PRIVATE KEY", encrypted_key_der()).encode(),
        "encrypted-private-key.der": encrypted_key_der(),
        "openpgp-private-key.asc": PGP.encode(),
        "private-key-as-name.yaml": service((f"|\n{NAMED_KEY}", data(GOOD))),
    }.items()
}
CERTIFICATES: dict[str, Asset] = {
    "negative-serial.pem": (changed("Negative Serial", serial=-4711), ["error unreadable-on-nodes"]),
    "empty-san.pem": (extended("Empty SAN", SAN, b""), ["error unreadable-on-nodes"]),
    "leaf-without-ca.pem": (file(server().der), ["warning leaf"]),
    "not-a-ca.pem": (without_basic_constraints(), ["warning not-a-ca"]),
    "ca-false.pem": (extended("CA False", BASIC, drafts.basic(ca=False), critical=True), ["warning not-a-ca"]),
    "no-key-cert-sign.pem": (extended("No Cert Sign", KEY_USAGE, drafts.key_usage(6)), ["warning no-key-cert-sign"]),
    "v1-certificate.pem": (version_1(), ["warning old-version"]),
    "expired.pem": (changed("Expired", not_after=time("260101000000Z")), ["warning expired"]),
    "expires-soon.pem": (changed("Expires Soon", not_after=time("261201000000Z")), ["warning expires-soon"]),
    "not-yet-valid.pem": (changed("Not Yet", not_before=time("270101000000Z")), ["warning not-yet-valid"]),
    "sha1-signature.pem": (changed("SHA-1", scheme=ODD_SCHEMES[2]), ["warning weak-signature"]),
    "md5-signature.pem": (changed("MD5", scheme=ODD_SCHEMES[1]), ["warning weak-signature"]),
    "rsa-1024.pem": (file(odd("Small", rsa_key(1024), OTHER).der), ["warning small-key"]),
    "rsa-768.pem": (file(odd("Tiny", rsa_key(768), OTHER).der), ["warning unusable-key"]),
    "x25519-key.pem": (file(odd("No Signer", x25519_key(), OTHER).der), ["warning unusable-key"]),
    "critical-extension.pem": (extended("Critical", "1.2.3.4", integer(1), critical=True),
                               ["warning unhandled-critical-extension"]),
    "client-only.pem": (extended("Client Only", EKU, drafts.usages(drafts.CLIENT_AUTH)), ["warning no-server-auth"]),
}  # fmt: skip
OVERRIDDEN = (
    "    controlPlane:\n      variables:\n        overrides:\n        - name: trust\n"
    "          value: {additionalTrustedCAs: []}\n"
)
POOL = "    workers:\n      machinePools:\n      - class: default\n        name: spot\n"
CLUSTERS: dict[str, Asset] = {
    "cluster.yaml": (cluster("{additionalTrustedCAs: [{name: corp}]}", corp=GOOD), []),
    "bad-variable.yaml": (cluster("{additionalTrustedCAs: [{name: corp, data: QUFB}]}", corp=GOOD),
                          ["error bad-variable"]),
    "missing-key.yaml": (cluster("{additionalTrustedCAs: [{name: corp}, {name: other}]}", corp=GOOD),
                         ["error missing-key"]),
    "unlisted-key.yaml": (cluster("{additionalTrustedCAs: [{name: corp}]}", corp=GOOD, other=SECOND),
                          ["warning unlisted-key"]),
    "trust-override.yaml": (cluster("{additionalTrustedCAs: [{name: corp}]}", OVERRIDDEN, corp=GOOD),
                            ["error trust-override"]),
    "machine-pools.yaml": (cluster("{additionalTrustedCAs: [{name: corp}]}", POOL, corp=GOOD),
                           ["warning machine-pools"]),
}  # fmt: skip
CATALOGUE = WRITTEN | KEYS | CERTIFICATES | CLUSTERS
