"""Random mutations of DER: parse the tree of elements, change it in one place, and encode it again."""

# ruff: noqa: S311 - a generator of test data must be repeatable
import random
from dataclasses import dataclass

from oracle.encoding import length

CONSTRUCTED = 0x20
OCTET_STRING = 0x04


@dataclass
class Node:
    """An element with content or child elements."""

    tag: int
    content: bytes
    children: list["Node"] | None = None
    header: bytes = b""  # replaces the correct header

    def encode(self) -> bytes:
        content = self.content if self.children is None else b"".join(child.encode() for child in self.children)
        return (self.header or bytes([self.tag]) + length(len(content))) + content

    def walk(self) -> list["Node"]:
        nodes = [self]
        for child in self.children or []:
            nodes += child.walk()
        return nodes


def mutate(der: bytes, seed: int) -> bytes:
    """Change DER in one or two places."""
    rng = random.Random(seed)
    tree = decode(der)[0]
    for _ in range(rng.choice((1, 1, 2))):
        nodes = tree.walk()[1:]
        if nodes:
            _change(rng, tree, rng.choice(nodes))
    return tree.encode()


def decode(der: bytes) -> list[Node]:
    """Parse all elements, including those within octet strings. Raises ValueError."""
    nodes, at = [], 0
    while at < len(der):
        tag, count, start = der[at], der[at + 1], at + 2
        if count >= 0x80:
            octets = count - 0x80
            count = int.from_bytes(der[start : start + octets], "big")
            start += octets
        end = start + count
        if end > len(der):
            raise ValueError("short")
        nodes.append(_node(tag, der[start:end]))
        at = end
    return nodes


def _node(tag: int, content: bytes) -> Node:
    if tag & CONSTRUCTED or (tag == OCTET_STRING and content):
        try:
            return Node(tag, content, decode(content))
        except (ValueError, IndexError):
            pass
    return Node(tag, content)


def _change(rng: random.Random, tree: Node, node: Node) -> None:
    siblings = next(
        parent.children for parent in tree.walk() if parent.children and any(child is node for child in parent.children)
    )
    place = next(index for index, child in enumerate(siblings) if child is node)
    way = rng.choice(("tag", "octet", "cut", "grow", "empty", "drop", "double", "swap", "insert", "header", "raw"))
    if way == "tag":
        node.tag = rng.choice((node.tag ^ 0x20, node.tag ^ 0x80, node.tag + 1 & 0xFF, 0x1F, 0x0C, 0x30))
    elif way in {"octet", "cut", "grow", "empty", "raw"}:
        node.content, node.children = _mutate_content(rng, way, node.content), None
    elif way == "drop":
        del siblings[place]
    elif way == "double":
        siblings.insert(place, decode(node.encode())[0] if not node.header else Node(node.tag, node.content))
    elif way == "swap":
        other = rng.randrange(len(siblings))
        siblings[place], siblings[other] = siblings[other], siblings[place]
    elif way == "insert":
        siblings.insert(place, _node(OCTET_STRING, rng.choice(tree.walk()).encode()))
    else:
        count = len(node.content)
        node.header = rng.choice(
            (
                bytes([node.tag, 0x81, count & 0xFF]),
                bytes([node.tag, 0x82, count >> 8 & 0xFF, count & 0xFF]),
                bytes([node.tag, 0x80]),
                bytes([node.tag, count + 1 & 0x7F]),
                bytes([node.tag, 0x85, 0, 0, 0, 0, count & 0xFF]),
            )
        )


def _mutate_content(rng: random.Random, way: str, content: bytes) -> bytes:
    if way == "empty":
        return b""
    if way == "cut":
        return content[:-1]
    if way == "grow":
        return content + rng.choice((b"\x00", b"\xff", b"\x05\x00"))
    if way == "raw":
        return rng.randbytes(rng.randint(0, 20))
    at = rng.randrange(len(content)) if content else 0
    flipped = content[at] ^ (1 << rng.randrange(8)) if content else 0
    return content[:at] + bytes([flipped]) + content[at + 1 :]
