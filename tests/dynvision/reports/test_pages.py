"""Pages of a simulated experiment, read as a parser of HTML reads them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from dynvision.analysis.figures.time_courses import MOST_LINES, draw_time_courses
from dynvision.analysis.sweeps import choose_analysis
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.errors import ConfigError
from dynvision.reports.composing import Material, compose_experiment
from dynvision.reports.content import Page, Section, Table
from dynvision.reports.rendering import render_page, write_page
from dynvision.reports.terminal import describe_numbers
from dynvision.reports.timeline import draw_conditions, list_conditions
from dynvision.reports.words import describe_picture
from dynvision.stimuli.presentation import Presentation
from tests.helpers.reports import HOSTILE, LEVELS, make_material

pytestmark = pytest.mark.slow


class Reader(HTMLParser):
    """Collects the elements, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def read(material: Material) -> Reader:
    return Reader(render_page(compose_experiment(material)).decode())


def test_no_text_of_a_user_becomes_an_element(read: Reader) -> None:
    assert read.all("script") == []
    assert read.words.count(HOSTILE) >= 3  # the description, a note, a fact of an input


def test_it_loads_nothing(read: Reader) -> None:
    addresses = [
        value or ""
        for _, attributes in read.elements
        for name, value in attributes.items()
        if name in ("href", "src", "srcset", "xlink:href", "action")
    ]
    assert not [a for a in addresses if re.match(r"(https?:)?//", a)]
    (policy,) = [m["content"] for m in read.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_it_has_every_part_that_a_reader_looks_for(read: Reader) -> None:
    for title in ("Stimulus", "Time courses", "Tuning with fits", "Numbers", "Notes", "What it was made from"):
        assert title in read.words, title
    for line in (
        "dynvision make summary/contrast/subject",
        'dva.load("responses/contrast/subject")',
        "seed of responses/contrast/subject",
        "cpu, 2 threads, torch 2.9",
        "made again since, or gone",
    ):
        assert line in read.words, line


def test_names_of_elements_are_each_there_once_and_refer_to_one(read: Reader) -> None:
    names = [a["id"] for _, a in read.elements if a.get("id")]
    assert len(names) == len(set(names))
    for _, attributes in read.elements:
        for reference in (attributes.get("aria-labelledby"), (attributes.get("href") or "").partition("#")[2]):
            assert not reference or reference in names, reference


def test_every_picture_says_what_it_shows(read: Reader) -> None:
    assert [image["alt"] for image in read.all("img")] == ["One dark frame."]
    assert len(read.all("svg")) == 4
    assert "rises from" in read.words
    assert "Timeline of 6 conditions, trials of 24 steps of 5 ms. All show an image from step 0 to 10." in read.words


def test_the_text_of_a_figure_is_text(read: Reader) -> None:
    for label in ("mean response", "latency to half peak (ms)"):  # an axis, which no table and no alt text names
        assert label in read.words


def test_a_page_of_somebody_else_is_not_replaced(material: Material, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text("<html>mine</html>")
    with pytest.raises(ConfigError, match="was not written by this project, so it is not replaced"):
        write_page(Page("t", "k"), path)
    assert path.read_text() == "<html>mine</html>"
    path.unlink()
    for title in ("one", "two"):
        write_page(Page(title, "k"), path)
    assert "<h1>two</h1>" in path.read_text()


def test_characters_that_no_one_sees_are_written_out() -> None:
    page = Page("a\u202eb", "k", sections=[Section("s", "t", tables=[Table("c", ["h"], [["x\x00y"]])])])
    text = render_page(page).decode()
    assert "<h1>a\\u202eb</h1>" in text
    assert "x\\x00y" in text


def test_conditions_that_differ_in_time_are_listed_step_by_step() -> None:
    shown = {f"interval={n}": Presentation.interval(30, 4, 2, n) for n in range(20)}
    picture = draw_conditions(shown, dt=5.0)
    assert "16 of 20 conditions are drawn." in picture.caption
    assert "They differ in when an image is shown" in picture.alt
    assert "time from onset (ms)" in picture.content.decode()
    table = list_conditions(shown)
    assert table.rows[3][1] == "0 to 4; 7 to 11"
    assert table.is_folded


def test_the_terminal_gets_accuracy_the_first_layer_and_the_half_points(material: Material) -> None:
    text = describe_numbers(material.tables["tuning"], material.tables["fits"], ["contrast"])
    head, *rows = text.splitlines()
    assert re.split(r"\s{2,}", head) == ["contrast", "accuracy", "V1: response"]
    assert len([row for row in rows if "±" in row and not row.startswith("V1")]) == len(LEVELS)
    assert re.search(r"^V1: c50 0\.\d+ \[0\.\d+, 0\.\d+\], 95 % interval$", text, re.MULTILINE)
    assert "IT" not in text


def test_of_many_levels_some_have_a_line_and_the_page_says_how_many(material: Material) -> None:
    tuning, courses = material.tables["tuning"], material.tables["time_courses"]
    levels = [0.01 * (number + 1) for number in range(40)]
    rows = [tuning.iloc[[0]].assign(condition=f"c{n}", contrast=level) for n, level in enumerate(levels)]
    first = courses[courses["condition"] == tuning["condition"].iloc[0]]
    presentation = next(iter(material.presentations.values()))
    analysis, along, across = choose_analysis(["contrast"], tuning)
    result = ExperimentAnalysis(
        pd.DataFrame(),
        pd.concat(rows, ignore_index=True),
        material.tables["fits"],
        pd.concat([first.assign(condition=f"c{n}") for n in range(40)], ignore_index=True),
        analysis,
        along,
        across,
        None,
        {f"c{n}": presentation for n in range(40)},
    )
    drawn = [axes for axes in draw_time_courses(result).axes if axes.get_title("left") == "V1"]
    assert [len(axes.lines) for axes in drawn] == [MOST_LINES]
    assert describe_picture(result, "time_courses")[2].endswith(" 24 of 40 levels of contrast are drawn.")
