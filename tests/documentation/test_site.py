"""The site: it builds without a warning, asks no other host for anything, and the tutorial in it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.documentation.blocks import PROJECT
from tests.helpers.chains import copy_root

FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        value = dict(attrs).get(FETCHED.get(tag, ""))
        if value and dict(attrs).get("rel") not in ("canonical", "next", "prev"):
            self.found.append(value)


def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        reader = _Fetched()
        text = page.read_text(encoding="utf-8")
        reader.feed(text)
        assert not [name for name in reader.found if re.match(r"(https?:)?//", name)], page
        assert 'class="mermaid"' not in text, f"{page}: diagrams of that kind are drawn by a script of another host"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import\s+['\"]?http", sheet.read_text()), sheet


def test_reference_has_what_is_public(site: Path) -> None:
    for page, wanted in {
        "reading": ["load", "path", "catalog"],
        "stimuli": ["Presentation", "StimulusSequence", "get_data_loader", "get_ffcv_dataloader"],
        "analysis": ["naka_rushton", "fit_naka_rushton", "psychometric"],
        "networks": ["RCNN"],
        "configuration": ["DataConfig", "ModelConfig", "ExperimentConfig", "RecordConfig", "RunConfig"],
    }.items():
        text = (site / "reference" / f"{page}.html").read_text()
        for name in wanted:
            assert re.search(rf'id="[\w.]*\b{name}"', text), f"{page} lacks {name}"
    commands = (site / "reference" / "command-line.html").read_text()
    assert "Build TARGETs, and whatever upstream" in commands


def test_the_tutorial_runs_from_load_to_a_figure(documented_root: Path, tmp_path: Path) -> None:
    root = copy_root(documented_root, tmp_path / "root")
    notebook = nbformat.read(PROJECT / "docs" / "tutorial.ipynb", as_version=4)
    environment = {"DYNVISION_ROOT": str(root), "PYTHONPATH": str(PROJECT)}
    os.environ.update(environment)
    try:
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        for name in environment:
            os.environ.pop(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for cell in code[:-1] for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= 24
    drawn = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(drawn) == 1


def test_the_site_shows_the_tutorial_with_its_picture(site: Path) -> None:
    text = (site / "tutorial.html").read_text()
    assert "naka_rushton" in text
    (picture,) = re.findall(r'src="(pictures/tutorial-\d+\.png)"', text)
    assert (site / picture).read_bytes().startswith(b"\x89PNG")
    assert (site / picture).stat().st_size < 150_000


def test_pictures_are_small() -> None:
    for picture in (PROJECT / "docs" / "pictures").iterdir():
        assert picture.stat().st_size < 200_000, picture
