import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.image_reference import ImageReference, is_image, parse_image, parse_repository

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("app", ImageReference("docker.io", "library/app")),
        ("app:1.0", ImageReference("docker.io", "library/app", "1.0")),
        ("team/app", ImageReference("docker.io", "team/app")),
        ("docker.io/app", ImageReference("docker.io", "library/app")),
        ("index.docker.io/team/app", ImageReference("docker.io", "team/app")),
        ("localhost/app", ImageReference("localhost", "app")),
        ("harbor.test/team/app:1.0", ImageReference("harbor.test", "team/app", "1.0")),
        ("harbor.test:5000/app", ImageReference("harbor.test:5000", "app")),
        ("[fd00::1]:5000/app:1", ImageReference("[fd00::1]:5000", "app", "1")),
        ("Harbor/app", ImageReference("Harbor", "app")),
        (f"harbor.test/app@{DIGEST}", ImageReference("harbor.test", "app", "", DIGEST)),
        (f"harbor.test/app:1.0@{DIGEST}", ImageReference("harbor.test", "app", "1.0", DIGEST)),
    ],
)
def test_an_image_is_parsed_as_the_kubelet_does(text: str, image: ImageReference) -> None:
    assert parse_image(text) == image
    assert is_image(text)


def test_the_digest_comes_before_the_tag() -> None:
    versions = [parse_image(text).version for text in ("a.test/b", "a.test/b:1", f"a.test/b:1@{DIGEST}")]
    assert versions == ["latest", "1", DIGEST]


def test_registries_have_one_name() -> None:
    names = [parse_image(text).registry for text in ("app", "registry-1.docker.io/app", "HARBOR.test:443/app")]
    assert names == ["docker.io", "docker.io", "harbor.test"]


def test_a_repository_of_a_known_registry_needs_no_host() -> None:
    assert parse_repository("harbor.test", "app:1") == ImageReference("harbor.test", "app", "1")
    assert parse_repository("docker.io", "app:1") == ImageReference("docker.io", "library/app", "1")


@given(st.text(max_size=80))
def test_any_text_can_be_split(text: str) -> None:
    image = parse_image(text)
    assert image.version
    assert not is_image(text) or image.repository
