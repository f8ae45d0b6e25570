"""Networks that were trained on something else than the images that they are shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import dynvision_assets as dva
from dynvision.workspace.checking import check_targets
from dynvision_assets.metadata import describe_record
from dynvision_assets.pictures import draw_target
from tests.helpers.chains import build_chain, open_workspace
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.networks_of_others import NAMES, Ready, record_of, responses_of, write_root

pytestmark = pytest.mark.slow
MORE = ("responses/duration/moved", "responses/duration/numbered")


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    """A root in which all subjects saw the contrasts; not to be changed."""
    root = write_root(tmp_path_factory.mktemp("shown") / "root")
    build_chain(root, root / "config", "summary/contrast", "summary/phenomena/plain", *MORE)
    return root


def tuning_of(root: Path, subject: str):
    stage = open_workspace(root).stages["summary"]
    return stage.load(stage.select(("summary", "contrast", subject)), table="tuning")


def test_labels_that_have_nothing_to_do_with_the_outputs_have_no_accuracy(shown):
    for subject in ("plain", "moved", "numbered"):
        record, store = responses_of(shown, subject)
        details = record.details
        assert [details[name] for name in ("accuracy", "accuracy_over_time", "chance")] == [None] * 3
        assert details["labels_match"] == store.attrs["labels_match"] == "none"
        assert "rank" not in store
        assert store["label"].values.tolist() == sorted(store["label"].values.tolist())
    assert not {"accuracy", "accuracy_sem", "chance"} & set(tuning_of(shown, "plain"))


def test_outputs_have_the_names_of_the_networks_own_classes(shown):
    _, store = responses_of(shown, "plain")
    assert store["class"].values.tolist() == [0, 1, 2, 3, 4]
    assert store["class_name"].values.tolist() == NAMES
    assert "class_name" not in responses_of(shown, "numbered")[1]
    details = record_of(shown, "models/ready/balls:all_s0").details
    assert (details["own_classes"], details["classes_from"]) == (True, "list")
    assert record_of(shown, "models/bare/gratings:all_s0").details["classes_from"] == "numbers"


def test_labels_match_by_name_if_the_subject_says_so(shown):
    record, store = responses_of(shown, "named")
    target = np.array([0, 2, -1])  # 'Green Ball' and 'blue_ball' are outputs, and 'no ball' is none
    assert store.attrs["labels_match"] == "name"
    scores = store["scores"].values
    own = np.take_along_axis(scores, np.maximum(target, 0)[:, None, None], axis=2)
    rank = np.where(target[:, None] >= 0, (scores > own).sum(axis=2), -1)
    np.testing.assert_array_equal(store["rank"].values, rank)
    right = scores[:, :, [0, 2]].argmax(axis=2) * 2 == target[:, None]  # the choices are the outputs that are shown
    np.testing.assert_allclose(record.details["accuracy_over_time"], right.mean(axis=0))
    assert record.details["chance"] == pytest.approx(2 / 3 / 2)


def test_labels_match_by_index_where_a_network_is_shown_its_own_dataset(shown):
    _, store = responses_of(shown, "home")
    assert store.attrs["labels_match"] == "index"
    assert {"rank", "label"} <= set(store.variables)
    assert tuning_of(shown, "home")["accuracy"].notna().all()


def test_network_trained_on_another_dataset_is_that_datasets_network(shown):
    workspace = open_workspace(shown)
    stage = workspace.stages["responses"]
    target = stage.select(("responses", "duration", "moved"))[0]
    assert str(stage.upstream(target)[0]) == "models/rcnn/gratings:pair_s2"
    assert stage.tags(target.key)["dataset"] == "balls"
    assert responses_of(shown, "moved")[1]["class"].values.tolist() == [2, 0]
    assert workspace.status(target).state == "fresh"


def test_images_are_standardized_by_the_statistics_of_the_network(shown):
    first = {name: responses_of(shown, name)[1]["image_contrast"].values for name in ("plain", "moved")}
    record, _ = responses_of(shown, "moved")
    assert record.config["standardized_by"] == "trained_on"
    assert record.config["statistics"]["std"] == [0.29] * 3
    assert "standardized_by" not in responses_of(shown, "home")[0].config
    # the same images in units of another standard deviation
    np.testing.assert_allclose(first["plain"] * 0.25, first["moved"] * 0.29)


def test_subjects_with_and_without_accuracy_are_compared(shown):
    workspace = open_workspace(shown)
    target = workspace.stages["summary"].select(("summary", "contrast"))[0]
    [record] = workspace.stages["summary"].require([target])
    table = workspace.stages["summary"].load([target]).set_index("subject")
    assert table.loc[["home", "named"], "accuracy"].notna().all()
    assert table.loc[["plain"], "accuracy"].isna().all()
    assert record.details["without_accuracy"] == ["plain"]
    [result] = check_targets([str(target)], root=str(shown), config=str(shown / "config"))
    assert result["passed"]
    assert "in 2 of them labels do not match the network's classes" in result["sentence"]


def test_phenomena_leave_out_those_of_accuracy(shown):
    workspace = open_workspace(shown)
    stage = workspace.stages["summary"]
    table = stage.load(stage.select(("summary", "phenomena", "plain")))
    assert "accuracy" not in set(table["phenomenon"])
    assert "contrast response" in set(table["phenomenon"])


@pytest.mark.parametrize("name", ["responses/contrast/plain:contrast=0.5", "summary/contrast/plain"])
def test_metadata_and_pictures_work_without_accuracy(shown, name):
    workspace = open_workspace(shown)
    [target] = [t for key in workspace.keys for t in workspace.targets(key) if str(t) == name]
    record = record_of(shown, name)
    assert not {"accuracy", "chance", "readout"} & set(describe_record(workspace, target, record))
    assert draw_target(workspace.stage(target), target, record)


def test_a_new_readout_changes_nothing_where_there_is_no_accuracy(tmp_path, shown):
    root = tmp_path / "root"
    shutil.copytree(shown, root, symlinks=True)
    path = root / "config/config_experiments.yaml"
    edit_yaml(path, set_at("experiment_config.contrast.readout", {"choices": "all"}))
    target = "responses/contrast/plain:contrast=0.5"
    build_chain(root, root / "config", target)
    assert record_of(root, target).details["accuracy"] is None
    assert record_of(root, target).config["readout"]["choices"] == "all"


def test_torch_is_not_asked_for_a_networks_own_number_of_outputs():
    assert Ready()(torch.zeros(1, 3, 4, 4)).shape == (1, 5)


def test_numbered_outputs_have_no_names_of_the_datasets_classes(shown):
    assert "class_name" not in dva.load("responses/duration/numbered", duration=2, root=shown).to_dataset()
