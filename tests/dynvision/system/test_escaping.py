from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.system.escaping import code_span, escape_markdown, escape_mathtext, show_text

NAMES = [
    "<img src=x onerror=alert(1)>",
    "a|b",
    "[x](javascript:alert(1))",
    r"$\frac{",
    "$a$ and $b$",
    r"\$",
    "`code` ``more``",
    "two\nlines\r\x1b[31m",
    "**bold** _it_ ~~gone~~",
    "https://example.org www.example.org a@example.org",
    "caf\u00e9 \u202eevil \udce9",
    "- item",
    "1. item",
    "&amp; # heading",
    "",
]


def render(markdown: str) -> str:
    """What a reader sees of escaped inline Markdown; anything that is not escaped stays as it is."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_markdown_is_shown_as_it_is_on_one_line(name):
    escaped = escape_markdown(name)
    assert render(escaped) == show_text(name)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|~&#!$@]", escaped)
    assert not re.search(r"(?<!\\)://", escaped)
    assert "www." not in escaped.lower()
    assert not re.match(r"\s*(\d+[.)]|[-+=])", escaped)


@given(st.text())
def test_escaped_markdown_is_shown_as_the_text(text):
    assert render(escape_markdown(text)) == show_text(text)


@given(st.text())
def test_code_ends_where_it_should(text):
    span = code_span(text)
    fence = re.match("`+", span)[0]
    inside = span[len(fence) : -len(fence)]
    assert inside.strip(" ") == show_text(text).strip(" ")
    assert all(len(run) != len(fence) for run in re.findall("`+", inside))


def test_a_text_is_cut_where_it_is_asked_to_be():
    assert show_text("a" * 10, 5) == "aaaa…"
    assert show_text("a\tb\x00") == r"a\tb\x00"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "$x^2$", "$" * 3, r"100\$ $", "$\\undefined$"])
def test_a_label_is_drawn_as_the_name_and_never_as_a_formula(name):
    from matplotlib.figure import Figure

    figure = Figure()
    text = figure.text(0.5, 0.5, escape_mathtext(name), parse_math=True)
    shown, is_math = text._preprocess_math(text.get_text())
    assert not is_math
    assert shown == show_text(name)
    mixed = figure.text(0.5, 0.2, f"$c_{{50}}$ of {escape_mathtext(name)}")
    assert mixed._preprocess_math(mixed.get_text())[1] is True
    figure.draw_without_rendering()
