"""The summaries of the stage: of one subject, and of all subjects of an experiment."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from dynvision.errors import MissingError
from dynvision.stages.summary import SummaryStage
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from dynvision.workspace.verifying import verify_targets
from tests.helpers.chains import Chain, build_chain
from tests.helpers.configuration import edit_yaml
from tests.helpers.files import reseal

pytestmark = pytest.mark.slow

ALL = Target(("summary", "contrast"))
ONE, TWO = (Target(("summary", "contrast", name)) for name in ("rcnn_gratings", "twin"))


@pytest.fixture(scope="module")
def compared(chain, tmp_path_factory) -> Chain:
    """The built chain with a second subject and the comparison of both; not to be changed."""
    root = tmp_path_factory.mktemp("compared") / "root"
    shutil.copytree(chain.root, root, symlinks=True)
    config = root / "config"

    def add_twin(content) -> None:
        content["subjects"]["twin"] = {**content["subjects"]["rcnn_gratings"], "sensor_noise": 0.5}
        content["experiment_config"]["contrast"]["subjects"] = ["rcnn_gratings", "twin"]

    edit_yaml(config / "config_experiments.yaml", add_twin)
    build_chain(root, config, *(str(t) for t in (ONE, TWO)))
    build(Chain(root, config), ALL)
    return Chain(root, config)


@pytest.fixture
def compared_copy(compared, tmp_path) -> Chain:
    shutil.copytree(compared.root, tmp_path / "root", symlinks=True)
    return Chain(tmp_path / "root", tmp_path / "root" / "config")


def build(chain: Chain, target: Target, **settings) -> dict:
    return build_targets([str(target)], root=str(chain.root), config=str(chain.config), **settings)[0]


def stage_of(workspace: Workspace) -> SummaryStage:
    stage = workspace.stages["summary"]
    assert isinstance(stage, SummaryStage)
    return stage


def test_every_experiment_has_a_summary_of_all_its_subjects(compared):
    workspace = compared.open()
    keys = [key for key in workspace.keys if key[0] == "summary"]
    assert [key for key in keys if len(key) == 2] == [
        ("summary", n) for n in ("contrast", "duration", "contrast_duration")
    ]
    assert workspace.upstream(ALL) == [ONE, TWO]


def test_it_lies_where_no_subject_can(compared):
    workspace = compared.open()
    folder = compared.root / "data/reports/contrast/_subjects"
    assert workspace.stage(ALL).output(ALL) == folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "record.json",
        "table.csv",
        "table.parquet",
        "fits.csv",
        "fits.parquet",
        "comparison.png",
        "comparison.svg",
        "index.html",
    }
    for text in ("summary/contrast", str(folder / "comparison.png"), "data/reports/contrast"):
        assert parse_target(workspace, text) == [ALL]


def test_it_holds_the_rows_of_every_subject(compared):
    workspace = compared.open()
    stage = stage_of(workspace)
    table = pd.read_parquet(stage.output(ALL) / "table.parquet")
    for target in (ONE, TWO):
        part = table[table["subject"] == target.key[2]].drop(columns="subject").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, pd.read_parquet(stage.output(target) / "tuning.parquet"))


def test_every_table_is_there_as_text_too(compared):
    stage = stage_of(compared.open())
    for target in (ALL, ONE):
        for name in stage.tables(target):
            table = pd.read_parquet(stage.output(target) / f"{name}.parquet")
            text = pd.read_csv(stage.output(target) / f"{name}.csv")
            pd.testing.assert_frame_equal(plain(table), plain(text), check_dtype=False)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with 0 for what a CSV file does not hold: None, NaN and empty text."""
    return table.astype(object).where(table.notna() & (table != ""), 0)


def test_check_counts_the_conditions_of_all_subjects(compared):
    (result,) = check_targets([str(ALL)], root=str(compared.root), config=str(compared.config))
    assert (result["passed"], result["sentence"]) == (True, "6 of 6 conditions are in the table")


def spoil_accuracy(chain: Chain, target: Target) -> None:
    path = chain.open().stage(target).output(target) / "record.json"
    details = json.loads(path.read_text())["details"]
    details["tuning"][1]["accuracy"] = None
    reseal(path.parent, details=details)


def test_check_names_the_condition_without_an_accuracy(compared_copy):
    offenders = {ONE: "contrast=0.5", ALL: "rcnn_gratings/contrast=0.5"}
    for target, offender in offenders.items():
        spoil_accuracy(compared_copy, target)
        (result,) = check_targets([str(target)], root=str(compared_copy.root), config=str(compared_copy.config))
        assert (result["passed"], result["offenders"]) == (False, [offender])


def test_it_becomes_stale_with_anything_of_a_subject(compared_copy):
    def change(content) -> None:
        content["subjects"]["twin"]["sensor_noise"] = 0.25

    assert compared_copy.open().status(ALL).state == "fresh"
    edit_yaml(compared_copy.config / "config_experiments.yaml", change)
    status = compared_copy.open().status(ALL)
    assert status.state == "stale"
    assert status.reason.startswith("summary/contrast/twin is stale: responses/contrast/twin:contrast=0.1 is stale")
    assert compared_copy.open().status(ONE).state == "fresh"


def test_a_subject_more_makes_it_stale(compared_copy):
    def change(content) -> None:
        content["subjects"]["third"] = content["subjects"]["twin"]
        content["experiment_config"]["contrast"]["subjects"].append("third")

    edit_yaml(compared_copy.config / "config_experiments.yaml", change)
    reason = "it is made from other inputs now: summary/contrast/third is new"
    assert compared_copy.open().status(ALL).reason == reason
    with pytest.raises(MissingError, match=r"dynvision make summary/contrast/third"):
        build(compared_copy, ALL)


def test_it_is_planned_after_the_summaries_of_the_subjects(compared_copy):
    workspace = compared_copy.open()
    assert workspace.plan([ALL, TWO, ONE], force=True) == [TWO, ONE, ALL]
    assert workspace.plan([ALL]) == []


def test_made_again_it_has_the_same_version_and_the_same_bytes(compared_copy):
    workspace = compared_copy.open()
    for target in (ONE, ALL):
        before = workspace.read_record(target)
        assert before is not None
        again = build(compared_copy, target, force=True)
        assert again["data_version"] == before.data_version
        assert {name: tuple(digest) for name, digest in again["files"].items()} == before.files
        assert before.files


@pytest.mark.parametrize("name", ["table.csv", "fits.parquet", "comparison.svg"])
def test_damage_of_any_of_its_files_is_found(compared_copy, name):
    workspace = compared_copy.open()
    path = workspace.stage(ALL).output(ALL) / name
    path.write_bytes(path.read_bytes()[:-1] + b"0")
    (found,) = verify_targets(workspace, [ALL])
    expected = (
        f"{path} is damaged: its contents are not those that were written. Build it again: dynvision make --force {ALL}"
    )
    assert (found.state, found.sentence) == ("damaged", expected)
    status = compared_copy.open().status(ALL)
    assert (status.state, status.reason) == ("damaged", expected)


def test_undamaged_it_is_whole(compared):
    found = list(verify_targets(compared.open(), [ALL, ONE]))
    assert [(f.state, f.sentence.split(", ")[-1]) for f in found] == [
        ("whole", "6 files byte for byte"),
        ("whole", "14 files byte for byte"),
    ]


def test_a_grid_has_a_heat_map(compared):
    workspace = compared.open()
    assert stage_of(workspace).pictures(Target(("summary", "contrast_duration", "twin")))[0] == "heat_map"
    assert "heat_map" not in stage_of(workspace).pictures(ONE)
