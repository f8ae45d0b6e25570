from __future__ import annotations

from pathlib import Path

from dynvision.workspace import Workspace
from dynvision_assets.commands.making import DEMO
from dynvision_assets.commands.support import parse_targets
from tests.helpers.configuration import PROJECT_CONFIG, edit_config, write_config

COMPARED = ("summary", "contrast")


def test_the_demo_builds_both_networks_on_gratings_alone(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path, PROJECT_CONFIG)
    plan = workspace.plan(parse_targets(workspace, DEMO))
    assert {t.key for t in plan if t.key[0] == "models"} == {
        ("models", "normalizing", "gratings"),
        ("models", "rcnn", "gratings"),
    }
    assert {t.key for t in plan if t.key[0] == "raw"} == {("raw", "gratings")}
    assert plan[-1].key == COMPARED


def test_only_subjects_on_the_dataset_that_is_named_are_compared(tmp_path: Path) -> None:
    write_config(tmp_path)
    edit_config(tmp_path, "    subjects: all\n    idle: 2\n", "    subjects: all\n    idle: 2\n    compare_on: mnist\n")
    edit_config(tmp_path, "data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, mnist: 28}")
    own = "  digits: {model: rcnn, dataset: mnist}\n"
    edit_config(tmp_path, "experiment_config:\n", own + "experiment_config:\n")
    edit_config(tmp_path, "  gratings: {mean: [0.5", "  mnist: {mean: [0.5], std: [0.5]}\n  gratings: {mean: [0.5")
    workspace = Workspace.open(tmp_path, tmp_path / "config")
    (compared,) = workspace.targets(COMPARED)
    assert [t.key[-1] for t in workspace.upstream(compared)] == ["digits"]
    assert "digits in the experiment contrast side by side" in workspace.stages["summary"].describe(COMPARED)
