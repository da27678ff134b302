"""Defects of certificates and chains. Each function applies one to a scene."""

# ruff: noqa: E501 - tables of values read best as tables
import datetime as dt
from collections.abc import Callable

from oracle import drafts
from oracle.drafts import AIA, AKI, BASIC, CONSTRAINTS, CRL, EKU, KEY_USAGE, POLICIES, SAN, SKI, Draft
from oracle.encoding import (
    BMP,
    IA5,
    PRINTABLE,
    SEQUENCE,
    SET,
    T61,
    UNIVERSAL,
    bit_string,
    boolean,
    dns,
    email,
    general_name,
    integer,
    ip,
    name,
    network,
    oid,
    rdn,
    sequence,
    time,
    tlv,
    uri,
)
from oracle.keyring import ODD_SCHEMES
from oracle.mutation import mutate
from oracle.scenes import ODD_HOSTS, Defect, Scene

DEFECTS: dict[str, Defect] = {}


def defect(function: Defect) -> Defect:
    DEFECTS[function.__name__] = function
    return function


# Time


@defect
def expired(scene: Scene) -> None:
    scene.any().not_after = time(
        scene.random.choice(("251231235959Z", "20261123115959Z", "2611231159Z", "500101000000Z"))
    )


@defect
def not_yet_valid(scene: Scene) -> None:
    scene.any().not_before = time(scene.random.choice(("270101000000Z", "20261123120001Z", "21000101000000Z")))


@defect
def at_the_edge(scene: Scene) -> None:
    draft = scene.any()
    draft.not_before = draft.not_after = time("261123120000Z")
    scene.at += dt.timedelta(seconds=scene.random.choice((-1, 0, 0, 0.5, 1)))


@defect
def odd_time(scene: Scene) -> None:
    texts = (
        "250101000000+0100", "250101000000-0000", "250101000000+0000", "250101000000+2400", "250101000000+0060",
        "250101000000+0160", "250101000000", "2501010000Z", "250229000000Z", "251301000000Z", "20250101000000.5Z",
        "250101240000Z", "250101000060Z", "20250101000000+0100", "00000101000000Z", "99991231235959Z", "250101000000z",
        "500101000000Z", "491231235959Z", "690101000000Z", "19500101000000Z", "", "2501010000+0130",
    )  # fmt: skip
    text = scene.random.choice(texts)
    draft = scene.any()
    which = scene.random.choice(("not_before", "not_after"))
    setattr(draft, which, tlv(scene.random.choice((0x17, 0x18, 0x18 if len(text) > 13 else 0x17, 0x16)), text.encode()))


# Names and hosts


@defect
def odd_host(scene: Scene) -> None:
    scene.host = scene.random.choice(ODD_HOSTS)
    if scene.random.random() < 0.5 and scene.host.isascii():
        scene.leaf.put(SAN, sequence(general_name(scene.host)))


@defect
def other_name(scene: Scene) -> None:
    scene.leaf.put(SAN, sequence(dns("other.example"), dns("www.other.example")))


@defect
def odd_names(scene: Scene) -> None:
    host = scene.host
    first, _, parent = host.partition(".")
    choices = (
        dns(f"*.{parent}"), dns(f"{first[:1]}*.{parent}"), dns(f"*{first}.{parent}"), dns(f"*.{host}"),
        dns(host.upper().encode("ascii", "replace").decode()), dns(f"{host.encode('ascii', 'replace').decode()}."),
        dns("*"), dns("*."), dns(""), dns("."), dns("a..b"), dns("*.*.example"), dns("x y"),
        ip("192.0.2.10"), ip("2001:db8::10"), ip("::ffff:192.0.2.10"), dns("192.0.2.10"), ip("192.0.2.99"),
        tlv(0x87, bytes(5)), tlv(0x87), tlv(0x82, b"\xc3\xa4.example"), tlv(0xA0, oid("1.2.3"), tlv(0xA0, b"")),
        tlv(0xA4, name((drafts.COMMON_NAME, "x"))), tlv(0x88, b"\x2a\x03"), tlv(0xA2, b"x"), email("root@corp.example"),
        email("not an address"), email("a@b@c"), email("@"), email('"quoted local"@corp.example'), email("root@"),
        uri("https://corp.example/x"), uri("spiffe://corp.example/ns"), uri("urn:uuid:1"), uri("https://192.0.2.1/"),
        uri("https://[2001:db8::1]:8443/"), uri("http://a b/"), uri("://"), uri("https://x.example:port/"),
        uri("https://x.example:80:90/"), uri("redis://x.example:80:90/"), uri("https://u:p@x.example/%zz"),
        uri("https://x%41.example/"), uri("https://x%ffy.example/"), uri("https://x.example./"), uri("/only/path"),
        uri("a:b/c"), uri("1a:b"), uri("//host/path"), uri("///x"), uri("https:///x"), uri("*"), uri(""),
        uri("https://[fe80::1%25en0]/"), uri("https://[::1"), uri("https://x[::1]/"), uri("https://[192.0.2.1]/"),
        uri("https://x.example/#%zz"), uri("https://x.example/?%zz"), uri("https://a@b@x.example/"), uri("ht tp://x/"),
        uri("https://:443/"), uri("https://x..example/"), uri("https://exa\x7fmple/"), uri("https://us er@x/"),
    )  # fmt: skip
    names = scene.random.sample(choices, scene.random.randint(1, 3))
    if scene.random.random() < 0.6:
        names.append(general_name(host.encode("ascii", "replace").decode()))
    scene.any_or_leaf().put(SAN, sequence(*names), critical=scene.random.random() < 0.2)


@defect
def no_names(scene: Scene) -> None:
    scene.leaf.drop(SAN)
    if scene.random.random() < 0.5:
        scene.leaf.subject = name((drafts.COMMON_NAME, scene.host))


@defect
def empty_names(scene: Scene) -> None:
    value = scene.random.choice((sequence(), b"", sequence(tlv(0x88, b"\x2a")), tlv(SET)))
    scene.any_or_leaf().put(SAN, value, critical=scene.random.random() < 0.5)


@defect
def many_names(scene: Scene) -> None:
    count = scene.random.choice((99, 100, 150))
    make = scene.random.choice((lambda n: dns(f"h{n}.example"), lambda n: ip(f"198.51.100.{n}")))
    scene.leaf.put(SAN, sequence(*map(make, range(count))))


@defect
def odd_subject(scene: Scene) -> None:
    """Change a CA's name in its own certificate, in those it issued, or in both."""
    kind = drafts.COMMON_NAME
    names = (
        name((kind, "Root 0"), tag=PRINTABLE), name((kind, "rööt")), sequence(), name((kind, "under_score"), tag=PRINTABLE),
        name((kind, "*&star"), tag=PRINTABLE), sequence(rdn(kind, b"\xff\xfe", 0x0C)), sequence(rdn(kind, b"\xe4", T61)),
        sequence(rdn(kind, b"\x00R\x00o", BMP)), sequence(rdn(kind, b"\x00R\x00", BMP)), sequence(rdn(kind, b"\xd8\x00", BMP)),
        sequence(rdn(kind, b"\x00R\x00\x00", BMP)), sequence(rdn(kind, b"\x00\x00\x00R", UNIVERSAL)),
        sequence(rdn(kind, b"a\xe4", IA5)), sequence(rdn(kind, b"12 3", 0x12)), sequence(rdn(kind, b"12a", 0x12)),
        sequence(tlv(SET)), sequence(tlv(SET, sequence(oid(kind)))), sequence(tlv(SEQUENCE)), tlv(SET),
        name((drafts.ORGANIZATION, "Only & Co")), name((kind, 'quo"te\\ \n\x00')), name((kind, "ROOT 0")),
        name((kind, "Root  0")), name(("1.2.3.4.5", "x")), name((kind, "a"), (kind, "b")),
        sequence(tlv(SET, sequence(oid(kind), tlv(0x0C, b"x"), b"\x05\x00"))),
    )  # fmt: skip
    chosen, draft = scene.random.choice(names), scene.any()
    issued = [child for child in scene.path if child.issuer == draft.subject]
    if scene.random.random() < 0.8:
        draft.subject = chosen
    if scene.random.random() < 0.8:
        for child in issued:
            child.issuer = chosen


# Rights of a CA


@defect
def odd_basic_constraints(scene: Scene) -> None:
    values = (
        drafts.basic(ca=False), drafts.basic(ca=True), drafts.basic(ca=True, path_length=0), b"", sequence(integer(0)),
        drafts.basic(ca=True, path_length=1), drafts.basic(ca=False, path_length=0), drafts.basic(ca=True, path_length=-1),
        drafts.basic(ca=True, path_length=1 << 70), sequence(tlv(1, b"\x01")), sequence(boolean(False)), tlv(SET),
        sequence(boolean(True), boolean(True)), drafts.basic(ca=True) + b"\x00",
    )  # fmt: skip
    scene.any().put(BASIC, scene.random.choice(values), critical=scene.random.random() < 0.5)


@defect
def no_basic_constraints(scene: Scene) -> None:
    scene.authority().drop(BASIC)


@defect
def path_length(scene: Scene) -> None:
    for draft in scene.authorities:
        if scene.random.random() < 0.6:
            draft.put(BASIC, drafts.basic(ca=True, path_length=scene.random.randint(0, 2)), critical=True)


@defect
def odd_key_usage(scene: Scene) -> None:
    values = (
        drafts.key_usage(6), drafts.key_usage(), drafts.key_usage(0, 5), drafts.key_usage(8), bit_string(b""), b"",
        bit_string(b"\x04", 2), bit_string(b"\x04", 3), bit_string(b"", 3), bit_string(b"\x04", 8), tlv(0x03),
        bit_string(b"\x02\x80", 7),
    )  # fmt: skip
    scene.any().put(KEY_USAGE, scene.random.choice(values))


@defect
def no_key_usage(scene: Scene) -> None:
    scene.any().drop(KEY_USAGE)


@defect
def extended_key_usage(scene: Scene) -> None:
    sets = (
        (drafts.CLIENT_AUTH,), (drafts.SERVER_AUTH,), (drafts.SERVER_AUTH, drafts.CLIENT_AUTH), ("2.5.29.37.0",), (),
        ("1.2.3.4",), ("1.3.6.1.5.5.7.3.9",), ("1.3.6.1.4.1.311.10.3.3",), ("1.2.3.4", drafts.SERVER_AUTH),
    )  # fmt: skip
    draft = scene.any()
    draft.put(EKU, drafts.usages(*scene.random.choice(sets)), critical=scene.random.random() < 0.3)
    if scene.random.random() < 0.1:
        draft.put(EKU, scene.random.choice((b"", tlv(SET), sequence(b"\x06\x00"), sequence(integer(1)))))


@defect
def name_constraints(scene: Scene) -> None:
    host = general_name(scene.host.encode("ascii", "replace").decode())
    first, _, parent = scene.host.encode("ascii", "replace").decode().partition(".")
    bases = (
        host, dns(parent), dns(f".{parent}"), dns("example"), dns(""), dns("other.example"), dns("corp.example."), dns("."),
        dns("..example"), dns("CORP.EXAMPLE"), dns("arbor.corp.example"), dns("*.corp.example"), dns("corp-example"),
        dns("a.corp.example"), dns("x\xff"), dns(f"x.{first}.{parent}"),
        network("192.0.2.0/24"), network("192.0.2.10/32"), network("192.0.2.10/24"), network("0.0.0.0/0"), network("::/0"),
        network("198.51.100.0/24"), network("2001:db8::/32"), network("::ffff:192.0.2.0/120"), tlv(0x87, bytes(7)),
        network("192.0.2.128/25"), tlv(0x87, b"\xc0\x00\x02\x00\xff\x00\xff\x00"), network("::ffff:0.0.0.0/64"),
        email("corp.example"), email(".corp.example"), email("root@corp.example"), email("root@CORP.example"), email("a@b@c"),
        email("corp.example."), uri("corp.example"), uri(".corp.example"), uri("192.0.2.1"), uri("x.example"), email(""),
        uri(""), tlv(0xA4, name((drafts.ORGANIZATION, "Lab"))), tlv(0x88, b"\x2a\x03"),
    )  # fmt: skip
    trees = []
    for tag in (0xA0, 0xA1):
        chosen = scene.random.sample(bases, scene.random.choice((0, 1, 1, 2, 3)))
        if chosen or scene.random.random() < 0.1:
            trees.append(tlv(tag, *(sequence(base) for base in chosen)))
    scene.any().put(CONSTRAINTS, sequence(*trees), critical=scene.random.random() < 0.6)


@defect
def many_constraints(scene: Scene) -> None:
    labels = ("a", "a-b", "b", "B", "corp", "example", "", "harbor")
    domains = {".".join(scene.random.choices(labels, k=scene.random.randint(1, 4))).strip(".") for _ in range(12)}
    networks = (f"192.0.{scene.random.randint(0, 3)}.{scene.random.randint(0, 255)}/{bits}" for bits in range(20, 33))
    bases = [sequence(dns(domain)) for domain in sorted(domains - {""}) if ".." not in domain] + [
        sequence(network(text)) for text in networks
    ]
    scene.random.shuffle(bases)
    scene.authority().put(CONSTRAINTS, sequence(tlv(scene.random.choice((0xA0, 0xA1)), *bases)))
    hosts = [dns(".".join(scene.random.choices(labels, k=3)).strip(".")) for _ in range(2)]
    scene.leaf.put(SAN, sequence(*hosts, dns("*.corp.example"), general_name("harbor.corp.example")))
    scene.host = "harbor.corp.example"


@defect
def policies(scene: Scene) -> None:
    any_policy, policy_1, policy_2 = "2.5.29.32.0", "1.2.3.1", "1.2.3.2"
    for draft in scene.path:
        chosen = [oid(policy) for policy in (any_policy, policy_1, policy_2) if scene.random.random() < 0.4]
        if chosen:
            draft.put(POLICIES, sequence(*map(sequence, chosen)))
        if scene.random.random() < 0.3:
            pairs = [[oid(scene.random.choice((policy_1, policy_2))) for _ in range(2)] for _ in range(2)]
            draft.put(drafts.MAPPINGS, sequence(*(sequence(*pair) for pair in pairs)), critical=True)
        if scene.random.random() < 0.4:
            counts = [
                integer(scene.random.choice((0, 0, 1, 2)), tag) for tag in (0x80, 0x81) if scene.random.random() < 0.7
            ]
            draft.put(drafts.POLICY_CONSTRAINTS, sequence(*counts), critical=True)
        if scene.random.random() < 0.2:
            draft.put(drafts.INHIBIT_ANY, integer(scene.random.choice((0, 1))), critical=True)


@defect
def odd_policies(scene: Scene) -> None:
    values = (
        (POLICIES, sequence(sequence(oid("1.2.3")), sequence(oid("1.2.3")))), (POLICIES, sequence(sequence(tlv(6)))),
        (POLICIES, sequence(sequence(tlv(6, b"\x80\x01")))), (POLICIES, sequence(sequence(tlv(6, b"\x2a\x81")))),
        (POLICIES, sequence()), (POLICIES, sequence(sequence(tlv(6, b"\x2a" + b"\xff" * 12 + b"\x7f")))), (POLICIES, b""),
        (drafts.MAPPINGS, sequence(sequence(oid("2.5.29.32.0"), oid("1.2.3")))), (drafts.MAPPINGS, sequence(sequence())),
        (drafts.POLICY_CONSTRAINTS, sequence(integer(-1, 0x80))), (drafts.POLICY_CONSTRAINTS, sequence(tlv(0x80))),
        (drafts.POLICY_CONSTRAINTS, sequence(tlv(0x80, bytes(9)))), (drafts.INHIBIT_ANY, integer(-1)),
        (drafts.INHIBIT_ANY, integer(1 << 64)), (drafts.POLICY_CONSTRAINTS, b""),
    )  # fmt: skip
    kind, value = scene.random.choice(values)
    scene.any().put(kind, value)


# Other extensions


@defect
def unknown_extension(scene: Scene) -> None:
    kinds = ("1.2.3.4.5", "2.5.29.18", "2.5.29.46", "2.5.29.15.1", "1.3.6.1.5.5.7.1.24", "2.16.840.1.113730.1.1")
    scene.any().put(scene.random.choice(kinds), b"\x05\x00", critical=scene.random.random() < 0.7)


@defect
def odd_identifiers(scene: Scene) -> None:
    values = (
        (SKI, tlv(4)), (SKI, b""), (SKI, tlv(4, b"other")), (AKI, sequence()), (AKI, sequence(tlv(0x80))), (AKI, b""),
        (AKI, sequence(tlv(0x80, b"wrong"))), (AKI, sequence(tlv(0xA1, dns("x")), tlv(0x82, b"\x01"))),
        (AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), uri("http://ca.example/ca.crt")))), (AIA, b"\x00"),
        (AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), dns("x")))), (AIA, sequence(sequence())),
        (CRL, sequence(sequence(tlv(0xA0, tlv(0xA0, uri("http://ca.example/crl")))))), (CRL, sequence(sequence(tlv(0xA0)))),
        (CRL, sequence(sequence(tlv(0xA0, tlv(0xA1))))), (CRL, sequence(sequence())), (CRL, sequence(tlv(SET))), (CRL, b""),
        (CRL, sequence(sequence(tlv(0xA0, tlv(0xA0, dns("x")))))), (CRL, sequence(sequence(tlv(0x81, b"\x01\x02")))),
    )  # fmt: skip
    kind, value = scene.random.choice(values)
    scene.any().put(kind, value, critical=scene.random.random() < 0.2)


@defect
def no_identifiers(scene: Scene) -> None:
    draft = scene.any()
    draft.drop(SKI)
    draft.drop(AKI)


@defect
def duplicate_extension(scene: Scene) -> None:
    draft = scene.any()
    draft.extensions.append(scene.random.choice(draft.extensions or [("1.2.3", False, b"")]))


# Keys and signatures


@defect
def odd_key(scene: Scene) -> None:
    scene.rekey(scene.any(), scene.random.choice(scene.keys.odd))


@defect
def broken_key(scene: Scene) -> None:
    scene.rekey(scene.any(), scene.random.choice(scene.keys.broken))


@defect
def odd_scheme(scene: Scene) -> None:
    draft = scene.any()
    draft.scheme = scene.random.choice(
        (*ODD_SCHEMES, *draft.signer.schemes, *scene.random.choice(scene.keys.odd).schemes)
    )


@defect
def forged(scene: Scene) -> None:
    scene.any().forged = True


@defect
def algorithms_differ(scene: Scene) -> None:
    draft = scene.any()
    draft.inner_algorithm = scene.random.choice(ODD_SCHEMES).identifier


@defect
def wrong_signer(scene: Scene) -> None:
    scene.any().signer = scene.key()


# Encoding


@defect
def odd_serial(scene: Scene) -> None:
    scene.any().serial = scene.random.choice((-1, -128, 0, 1 << 159, 1 << 300))


@defect
def odd_version(scene: Scene) -> None:
    draft = scene.any()
    draft.version = scene.random.choice((None, 0, 1, 3, -1, 1 << 65, 1 << 70))
    if scene.random.random() < 0.5:
        draft.extensions = []


@defect
def trailing_data(scene: Scene) -> None:
    scene.any().trailing = scene.random.choice((b"\x00", b"\n", scene.any().key.spki))


@defect
def mutation(scene: Scene) -> None:
    """Change something anywhere in the signed part, and sign the result."""
    draft, state = scene.any(), scene.random.getrandbits(32)
    draft.mutate = lambda tbs: mutate(tbs, state)


@defect
def garbage(scene: Scene) -> None:
    junk = scene.random.choice((b"", b"\x30\x00", b"\x30\x80", b"\x30\x03\x02\x01\x01", scene.random.randbytes(40)))
    where = scene.random.choice((scene.trust, scene.trust, scene.served))
    where.insert(scene.random.randint(0, len(where)), junk)


# Chains


@defect
def missing_intermediate(scene: Scene) -> None:
    scene.served = [draft for draft in scene.served if draft not in scene.path[1:-1] or scene.random.random() < 0.4]


@defect
def shuffled(scene: Scene) -> None:
    rest = scene.served[1:]
    scene.random.shuffle(rest)
    scene.served = [*scene.served[:1], *rest]
    scene.random.shuffle(scene.trust)


@defect
def trusted_elsewhere(scene: Scene) -> None:
    """Trust another certificate of the path instead of the root, or in addition to it."""
    chosen = [scene.intermediate(), scene.leaf, scene.any()]
    scene.trust = [*(scene.trust if scene.random.random() < 0.3 else []), scene.random.choice(chosen)]


@defect
def duplicates(scene: Scene) -> None:
    scene.served += scene.random.choices(scene.served, k=2)
    scene.trust += scene.random.choices(scene.trust or [scene.root], k=2)


@defect
def root_served(scene: Scene) -> None:
    scene.served.append(scene.root)


@defect
def nothing_trusted(scene: Scene) -> None:
    scene.trust = scene.random.choice(([], [drafts.ca("Root 9", scene.key())]))


@defect
def same_name_other_key(scene: Scene) -> None:
    """Add CAs of the same names with other keys. Go tries them, and their signatures do not match."""
    for _ in range(scene.random.choice((1, 2, 40, 60))):
        twin = drafts.ca("twin", scene.key())
        draft = scene.authority()
        twin.subject = draft.subject
        twin.issuer = draft.subject if scene.random.random() < 0.5 else draft.issuer
        twin.serial = scene.random.getrandbits(60)
        place = scene.trust if scene.random.random() < 0.5 else scene.served
        place.insert(scene.random.randint(1, max(len(place), 1)), twin)


@defect
def self_signed_server(scene: Scene) -> None:
    leaf = scene.leaf
    leaf.issuer, leaf.signer = leaf.subject, leaf.key
    if scene.random.random() < 0.5:
        scene.trust.append(leaf)


@defect
def server_is_ca(scene: Scene) -> None:
    scene.leaf.put(BASIC, drafts.basic(ca=True), critical=True)


@defect
def cross_signed(scene: Scene) -> None:
    """Give a CA of the path a second certificate, from another root."""
    other = drafts.ca("Root 1", scene.key())
    draft = scene.authority()
    cross = drafts.ca("cross", draft.key, other)
    cross.subject = draft.subject
    scene.served.append(cross)
    scene.trust = scene.random.choice(([other], [scene.root, other], [other, scene.root], scene.trust))
    if scene.random.random() < 0.5:
        _spoil(scene, scene.random.choice((cross, other)))


@defect
def many_crosses(scene: Scene) -> None:
    """Have CAs sign each other at random: loops, several paths, and more candidates than Go considers."""
    count = scene.random.choice((3, 4, 5, 6))
    authorities = [drafts.ca(f"Mesh {number}", key) for number, key in enumerate(scene.keys.usual[:count])]
    for child in authorities:
        for parent in authorities:
            if child is not parent and scene.random.random() < 0.7:
                cross = drafts.ca("cross", child.key, parent)
                cross.subject = child.subject
                if scene.random.random() < 0.2:
                    _spoil(scene, cross)
                scene.served.append(cross)
    first = authorities[0]
    scene.leaf.issuer, scene.leaf.signer = first.subject, first.key
    scene.trust = scene.random.choice(([authorities[-1]], scene.trust, [scene.root, *authorities[1:3]]))


@defect
def same_subject_and_key(scene: Scene) -> None:
    """Serve a CA again under another serial, sometimes with names. Go considers only some of them equal."""
    again = drafts.ca("again", scene.intermediate().key, scene.root)
    again.subject = scene.intermediate().subject
    again.serial = scene.random.getrandbits(60)
    if scene.random.random() < 0.5:
        again.put(SAN, sequence(dns("ca.example")))
    scene.served.append(again)


def _spoil(scene: Scene, draft: Draft) -> None:
    ways: tuple[Callable[[], None], ...] = (
        lambda: setattr(draft, "not_after", time("251231235959Z")),
        lambda: setattr(draft, "not_before", time("271231235959Z")),
        lambda: setattr(draft, "forged", True),
        lambda: draft.put(BASIC, drafts.basic(ca=False), critical=True),
        lambda: draft.put(BASIC, drafts.basic(ca=True, path_length=0), critical=True),
        lambda: draft.put("1.2.3.4", b"\x05\x00", critical=True),
        lambda: draft.put(EKU, drafts.usages(drafts.CLIENT_AUTH)),
        lambda: draft.put(CONSTRAINTS, sequence(tlv(0xA1, sequence(dns(""))))),
        lambda: setattr(draft, "scheme", ODD_SCHEMES[2]),
    )
    scene.random.choice(ways)()
