"""Summaries of a stimulus set, grouped by a column of its table."""

from __future__ import annotations

import pytest

from dynvision.errors import DynvisionError
from dynvision.workspace.addresses import parse_target
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.stimulus_sets import build, write_set

pytestmark = pytest.mark.slow

KNOWN = {
    "class": "dynvision.models:DelayedNormalization",
    "training": None,
    "statistics": {"mean": [0.5] * 3, "std": [0.25] * 3},
    "record": {"layers": ["response"], "resolution": "layer"},
}
TARGET = "summary/contrast/known"


def write_root(root) -> None:
    config = write_set(root)
    edit_yaml(config / "config_models.yaml", set_at("models.known", KNOWN))

    def choose(content) -> None:
        content["subjects"]["known"] = {"model": "known", "dataset": "scenes", "only_named": True}
        content["experiment_config"]["contrast"] |= {"subjects": ["known"], "group_by": "category"}

    edit_yaml(config / "config_experiments.yaml", choose)


def test_summary_has_a_table_of_groups(tmp_path):
    write_root(tmp_path)
    workspace = build(tmp_path, TARGET)
    [target] = parse_target(workspace, TARGET)
    table = workspace.stage(target).load([target], table="groups")
    assert set(table["value"]) == {"faces", "houses"}
    assert len(table) == 2 * 3
    folder = tmp_path / "data/reports/contrast/known"
    assert (folder / "groups.csv").is_file()
    record = workspace.stage(target).require([target])[0]
    assert list(workspace.stage(target).draw(target, record))[:4] == ["summary", "time_courses", "tuning", "groups"]
    page = (folder / "index.html").read_text()
    assert "By category" in page
    assert "The peak of the response to the images of each category (faces and houses) against contrast" in page
    assert workspace.stage(target).read_back(target, workspace.stage(target).require([target])[0])
    edit_yaml(tmp_path / "config/config_experiments.yaml", set_at("experiment_config.contrast.group_by", "session"))
    workspace = build(tmp_path, TARGET)  # only the summary is made again
    assert set(workspace.stage(target).load([target], table="groups")["column"]) == {"session"}
    edit_yaml(tmp_path / "config/config_experiments.yaml", set_at("experiment_config.contrast.group_by", "sesion"))
    with pytest.raises(DynvisionError, match="contrast/known: group_by"):
        build(tmp_path, TARGET)
