"""The pages of reports in a browser: without a network, in both schemes, on a narrow screen, with the keyboard."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynvision.reports.composing import compose_experiment
from dynvision.reports.index import write_index
from dynvision.reports.rendering import write_page
from dynvision.system.files import write_json
from tests.helpers.reports import make_material

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

NARROW, WIDE = 400, 1200

CONTRASTS = """
() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * R + .7152 * G + .0722 * B;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg .nothing, title, style")) continue;
    const style = getComputedStyle(element);
    const isDrawn = element instanceof SVGElement;
    const ink = light(parse(isDrawn ? style.fill : style.color)), paper = light(ground(element));
    const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
    found.push([ratio, walker.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}
"""


ACTIVE = """
() => {
  const e = document.activeElement;
  return [/^(A|SUMMARY)$/.test(e.tagName) ? e.textContent : null, getComputedStyle(e).outlineWidth];
}
"""
"""The text of the link that has the focus, and the width of the line around it."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The index, and the page of a simulated experiment."""
    reports = tmp_path_factory.mktemp("pages") / "reports"
    material = make_material(tmp_path_factory.mktemp("material"))
    page = reports / "contrast" / "subject" / "index.html"
    page.parent.mkdir(parents=True)
    write_json(page.parent / "record.json", material.record.to_dict())
    write_page(compose_experiment(material), page)
    return [write_index(reports), page]


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; whatever it asks for or complains of is an error at the end."""
    opened, wrong = [], []

    def look_at(path: Path, width: int = WIDE, scheme: str = "light", media: str = "screen") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda request: None if request.url == path.as_uri() else wrong.append(request.url[:80]))
        page.goto(path.as_uri())
        page.emulate_media(media=media)
        return page

    yield look_at
    for context in opened:
        context.close()
    assert [w for w in wrong if not w.startswith("data:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(pages: list[Path], look: Any, scheme: str) -> None:
    for path in pages:
        page = look(path, scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        found = page.evaluate(CONTRASTS)
        assert len(found) > 10
        assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_page_is_not_scrolled_sideways(pages: list[Path], look: Any, width: int) -> None:
    for path in pages:
        page = look(path, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_headings_are_in_order_and_pictures_have_a_text(pages: list[Path], look: Any) -> None:
    for path in pages:
        page = look(path)
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((e) => Number(e.tagName[1]))")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        unnamed = page.evaluate(
            "[...document.querySelectorAll('img, svg')].filter((e) => !(e.alt || e.querySelector(':scope > title')"
            "?.textContent)).length"
        )
        assert unnamed == 0
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.evaluate("[...document.querySelectorAll('table')].every((e) => e.caption && e.tHead)")


def test_the_keyboard_reaches_every_link_and_shows_where_it_is(pages: list[Path], look: Any) -> None:
    for path in pages:
        page = look(path)
        links = page.evaluate("[...document.querySelectorAll('a, summary')].map((e) => e.textContent)")
        reached = []
        for _ in range(len(links) * 3 + 20):
            page.keyboard.press("Tab")
            text, outline = page.evaluate(ACTIVE)
            if text is not None:
                reached.append(text)
                assert outline == "3px", text
            if set(links) <= set(reached):
                break
        assert set(links) <= set(reached)
        assert reached[0] == "Skip to the content"


def test_the_index_leads_to_the_page_and_back(pages: list[Path], look: Any) -> None:
    index, path = pages
    page = look(path)
    assert page.get_by_role("link", name="All reports").get_attribute("href") == "../../index.html"
    page = look(index)
    assert page.get_by_role("link", name="subject").get_attribute("href") == "contrast/subject/index.html"


def test_print_has_what_is_folded_on_the_screen(pages: list[Path], look: Any) -> None:
    page = look(pages[1], media="print")
    table = page.locator("details table").first
    assert table.bounding_box()["height"] > 50
    assert not page.locator("nav").first.is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", WIDE), ("dark", WIDE), ("light", NARROW)])
def test_pictures_of_the_pages_are_kept(pages: list[Path], look: Any, scheme: str, width: int, tmp_path: Path) -> None:
    folder = Path(os.environ.get("DYNVISION_SCREENSHOTS") or tmp_path)
    for name, path in zip(("index", "experiment"), pages, strict=True):
        page = look(path, width, scheme)
        file = folder / f"report-{name}-{scheme}-{width}.png"
        page.screenshot(path=file, full_page=True)
        assert file.stat().st_size > 5_000
