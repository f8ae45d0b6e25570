"""What the configuration says of an experiment in its own words is shown with its assets, and changes no result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dynvision.config import load_config
from dynvision.errors import ConfigError
from dynvision.paths import Paths
from dynvision.workspace import Workspace
from dynvision_assets.command_line import main
from tests.helpers.configuration import edit_yaml, write_small_config

TEXT = "Two levels of *contrast*, for a first look."


def describe(root: Path, text: Any) -> Workspace:
    config = root / "config"
    if not config.exists():
        write_small_config(config)
    edit_yaml(
        config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"].update(description=text),
    )
    return Workspace(load_config(config), Paths(root))


def test_description_is_shown_with_the_assets_of_its_experiment(tmp_path):
    workspace = describe(tmp_path, TEXT)
    for key in workspace.keys:
        shown = r"\*contrast\*, for a first look" in workspace.stages[key[0]].describe(key)
        assert shown == (key[0] in ("responses", "summary") and key[1] == "contrast")


def test_description_changes_no_settings(tmp_path):
    before = describe(tmp_path, None)
    (first, *_) = before.targets(("responses", "contrast", "rcnn_gratings"))
    settings = before.stage(first).settings(first)
    after = describe(tmp_path, TEXT)
    assert after.stage(first).settings(first) == settings


def test_list_and_show_print_the_description(tmp_path, monkeypatch):
    describe(tmp_path, TEXT)
    monkeypatch.setenv("DYNVISION_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    assert f"  {TEXT}\n" in run("list", "responses/contrast")
    assert TEXT not in run("list", "responses/duration")
    assert TEXT not in run("list")
    assert all(row["description"] == TEXT for row in json.loads(run("list", "--json", "responses/contrast/")))
    assert f"\n  {TEXT}\n" in run("show", "responses/contrast/rcnn_gratings:0.5")
    assert json.loads(run("show", "--json", "responses/contrast/rcnn_gratings:0.5"))[0]["description"] == TEXT


@pytest.mark.parametrize("text", ["", 3, ["a"]])
def test_description_is_a_text(tmp_path, text):
    with pytest.raises(ConfigError, match=r"experiment_config\.contrast\.description"):
        describe(tmp_path, text)


def test_shipped_comparison_of_noises_says_why_it_uses_natural_images():
    experiment = load_config().experiments["noise_types"]
    assert "phase scrambling keeps the amplitude spectrum" in str(experiment.description)
    assert experiment.subjects == ["rcnn_invertebrates"]
