from __future__ import annotations

import re

import pytest

from dynvision.reports.content import Picture
from dynvision.reports.embedding import embed_image, embed_svg

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="72pt" height="36pt">'


def embed(inside: str, alt: str = "seen", prefix: str = "p1") -> str:
    return embed_svg(Picture("t", alt, "c", f"{HEAD}{inside}</svg>".encode()), prefix)


def test_a_picture_says_what_is_seen_in_it() -> None:
    svg = embed('<path d="M0 0"/>', alt="rises <fast> & far")
    assert '<title id="p1-title">rises &lt;fast&gt; &amp; far</title>' in svg
    assert 'role="img" aria-labelledby="p1-title"' in svg
    assert 'viewBox="0 0 72 36"' in svg
    assert "width:96px" in svg


def test_names_of_two_pictures_differ_and_references_follow() -> None:
    inside = '<defs><clipPath id="a"><rect/></clipPath></defs><g id="b" clip-path="url(#a)"/><use xlink:href="#a"/>'
    first, second = embed(inside), embed(inside, prefix="p2")
    assert 'id="p1-a"' in first
    assert 'clip-path="url(#p1-a)"' in first
    assert 'href="#p1-a"' in first
    assert 'id="p1-b"' not in first, "what nothing refers to needs no name"
    assert 'id="p2-a"' in second


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<path onload="alert(1)"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>',
        '<image xlink:href="https://example.org/x.png"/>',
        '<use xlink:href="https://example.org/x.svg#a"/>',
        '<g style="fill: url(https://example.org/x)"/>',
        "<style>@import url(https://example.org/x.css);</style>",
        "<metadata>https://example.org</metadata>",
        '<a href="https://example.org"><text>x</text></a>',
    ],
)
def test_what_could_run_or_load_something_is_left_out(inside: str) -> None:
    svg = embed(inside)
    assert not re.search(r"script|onload|alert|foreignObject|example\.org", svg), svg


def test_a_style_for_everything_becomes_that_of_the_picture() -> None:
    svg = embed("<defs><style>*{stroke-linejoin: round; stroke-linecap: butt}</style></defs><path/>")
    assert "<style" not in svg
    assert 'style="stroke-linejoin: round; stroke-linecap: butt;width:96px"' in svg


def test_coordinates_are_rounded_and_sizes_of_letters_are_not() -> None:
    svg = embed('<path d="M 1.23456 -7.891011 L 3 4"/><g transform="scale(0.015625)"/>')
    assert "M 1.23 -7.89 L 3 4" in svg
    assert "scale(0.015625)" in svg


def test_what_is_no_svg_is_refused() -> None:
    for content in (b"no XML", b"<html/>"):
        with pytest.raises(ValueError, match="it is no SVG"):
            embed_svg(Picture("t", "a", "c", content), "p1")


def test_an_image_becomes_an_address_of_its_type() -> None:
    assert embed_image(Picture("t", "a", "c", b"abc", "webp")) == "data:image/webp;base64,YWJj"
