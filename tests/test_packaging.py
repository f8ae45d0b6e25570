"""What is installed holds what the code reads at run time. Building a wheel needs a network, so its settings are read.

The build leaves out what git ignores, and nothing else; that git ignores nothing of it is in `test_repository.py`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import jinja2
import pytest

from dynvision.config import reading

PROJECT = Path(__file__).resolve().parent.parent
BUILD = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
WHEEL = BUILD["targets"]["wheel"]


def test_the_wheel_holds_the_packages_whole() -> None:
    assert BUILD.keys() == {"targets"}
    assert WHEEL.keys() == {"packages", "force-include"}, "neither include nor exclude"
    assert set(WHEEL["packages"]) == {path.parent.name for path in PROJECT.glob("dynvision*/__init__.py")}


def test_the_configuration_is_shipped_to_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((source, target),) = WHEEL["force-include"].items()
    assert PROJECT / source == reading.packaged_config()
    (tmp_path / target).mkdir(parents=True)
    monkeypatch.setattr(reading, "__file__", str(tmp_path / "dynvision" / "config" / "reading.py"))
    assert reading.packaged_config() == tmp_path / target


def test_the_templates_of_the_pages_lie_in_a_package_that_is_shipped() -> None:
    loader = jinja2.PackageLoader("dynvision.reports", "templates")
    names = {path.name for path in (PROJECT / "dynvision/reports/templates").iterdir()}
    assert set(loader.list_templates()) == names >= {"page.html.j2", "style.css"}


def test_a_wheel_can_be_made_of_the_source_archive() -> None:
    archive = {name.removeprefix("/") for name in BUILD["targets"]["sdist"]["include"]}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert {*WHEEL["packages"], *WHEEL["force-include"], project["readme"], *project["license-files"]} <= archive
