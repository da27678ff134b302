"""The shape of a message: its text without the names and times that differ between messages of one failure."""

import re
from typing import Final

from trustplane.api.image_reference import is_image, parse_image
from trustplane.text import MAX_INPUT

# What a log puts before the message, such as a time, ends here.
_BEGINNING: Final = re.compile(r"[Ff]ailed to pull|rpc error: |Error response|initializing source")
_IMAGE: Final = re.compile(r'image \\{0,3}"(?P<name>[^\s"\\]{3,512})\\{0,3}"')
_VARYING: Final = re.compile(r"(?<=:)\d{2,5}(?=->)|\b[0-9a-f]{40,64}\b")
_MIN_REPOSITORY: Final = 4  # characters; a shorter name may be part of another word


def shape_of(text: str) -> tuple[str, str]:
    """Return the image that a message names, and the message without what varies; no image if its shape keeps all.

    Messages with one shape have the same causes and the same failed host.
    """
    text = text[:MAX_INPUT]
    match = _IMAGE.search(text)
    name = match["name"] if match else ""
    if not name or "/" not in name or not is_image(name):
        return "", text
    image = parse_image(name)
    beginning = _BEGINNING.search(text)
    shape = text[beginning.start() if beginning else 0 :].replace(name, f"{image.host}/IMAGE")
    repository = name.partition("@")[0].partition("/")[2].partition(":")[0]
    if len(repository) < _MIN_REPOSITORY or image.host not in name:
        return "", text
    shape = shape.replace(f"/{repository}/manifests/{image.version}", "/IMAGE/manifests/TAG").replace(
        repository, "IMAGE"
    )
    if "->" in shape or "sha256:" in shape:
        shape = _VARYING.sub("VARYING", shape)
    return name, shape
