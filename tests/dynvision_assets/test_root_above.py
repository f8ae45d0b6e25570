"""A command or `load` in a sub-folder of a root works on that root, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dynvision_assets as dva
from dynvision.errors import ConfigError
from dynvision_assets import opening
from tests.helpers.commands import call_dynvision


@pytest.fixture
def inside(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sub-folder of a root, in which the test is."""
    folder = empty_root / "notebooks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PWD", raising=False)
    opening._tell.cache_clear()
    return folder


def test_a_command_says_which_root_it_uses_and_makes_no_second_one(inside: Path) -> None:
    done = call_dynvision(None, "make", "raw/gratings:test")
    assert done.exit_code == 0
    assert done.stderr.startswith(
        f"the root is {inside.parent}, above the current folder (DYNVISION_ROOT names another)"
    )
    assert not list(inside.iterdir())
    assert (inside.parent / "data" / "raw" / "gratings" / "test").is_dir()


def test_json_stays_json(inside: Path) -> None:
    done = call_dynvision(None, "list", "raw", "--json")
    assert [row["key"] for row in json.loads(done.stdout)] == ["raw/gratings"]
    assert "the root is" in done.stderr


def test_load_says_it_once(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert dva.path("raw/gratings", split="test") == inside.parent / "data" / "raw" / "gratings" / "test"
    assert capsys.readouterr().err.count("the root is") == 1


def test_a_root_that_does_not_exist_ends_with_2(empty_root: Path) -> None:
    done = call_dynvision(empty_root / "typo", "make", "raw/gratings:test")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"error: DYNVISION_ROOT names {empty_root / 'typo'}, which does not exist" in done.stderr
    assert not (empty_root / "typo").exists()


def test_a_root_given_in_python_exists(empty_root: Path) -> None:
    with pytest.raises(ConfigError, match=r"the root is .*typo, which does not exist"):
        dva.catalog(root=empty_root / "typo")
