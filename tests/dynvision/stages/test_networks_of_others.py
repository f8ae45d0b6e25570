"""Networks that were trained on something else than the images that they are shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from dynvision.config import load_config
from dynvision.errors import ConfigError, UnknownNameError
from dynvision.experiments.reading import open_store
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from dynvision_assets.metadata import describe_record
from dynvision_assets.pictures import draw_target
from tests.helpers.chains import build_chain, open_workspace
from tests.helpers.configuration import edit_yaml, set_at, write_small_config

pytestmark = pytest.mark.slow

NAMES = ["green ball", "red_ball", "blue ball", "black ball", "white ball"]


class Ready(nn.Module):
    """A network with five outputs, whatever it is shown: weighted means of the colours."""

    def __init__(self, n_outputs: int = 5) -> None:
        super().__init__()
        self.relu, self.scores = nn.ReLU(), nn.Linear(3, n_outputs)

    def forward(self, frame: Tensor) -> Tensor:
        return self.scores(self.relu(frame.mean(dim=(2, 3))))


READY = {
    "class": f"{__name__}:Ready",
    "training": None,
    "classes": NAMES,
    "statistics": {"mean": [0.5] * 3, "std": [0.25] * 3},
    "record": {"layers": ["relu", "scores"], "resolution": "layer"},
}
SUBJECTS = {
    "plain": {"model": "ready", "dataset": "balls"},
    "named": {"model": "ready", "dataset": "balls", "match": "name"},
    "moved": {"model": "rcnn", "dataset": "balls", "trained_on": "gratings/pair", "seed": 2},
    "numbered": {"model": "bare", "dataset": "gratings"},
    "home": {"model": "rcnn", "dataset": "gratings"},
}


def write_root(root: Path) -> Path:
    """A root with gratings, and with one photograph a class of balls, in a split for testing alone."""
    config = write_small_config(root / "config")
    bare = {key: value for key, value in READY.items() if key != "classes"}
    edit_yaml(config / "config_models.yaml", lambda c: c["models"].update(ready=READY, bare=bare))
    edit_yaml(config / "config_data.yaml", lambda c: (c["data_resolution"].update(balls=16), c.update(use_ffcv=False)))
    edit_yaml(config / "config_data.yaml", set_at("data_groups.balls", {"bright": [0, 2]}))

    def choose(content) -> None:
        content["subjects"] = SUBJECTS
        for experiment in content["experiment_config"].values():
            experiment["subjects"] = list(SUBJECTS)
            experiment.pop("compare_on", None)

    edit_yaml(config / "config_experiments.yaml", choose)
    for number, name in enumerate(("blue_ball", "Green Ball", "no ball")):
        folder = root / "data/raw/balls/test" / name
        folder.mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "one.png")
    return root


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    """A root in which all subjects saw the contrasts; not to be changed."""
    root = write_root(tmp_path_factory.mktemp("shown") / "root")
    build_chain(root, root / "config", "summary/contrast", "summary/phenomena/plain", "summary/contrast_duration/plain")
    return root


@pytest.fixture
def config(tmp_path) -> Path:
    return write_root(tmp_path / "root") / "config"


def record_of(root: Path, target: str):
    workspace = open_workspace(root)
    [parsed] = [t for key in workspace.keys for t in workspace.targets(key) if str(t) == target]
    return workspace.stage(parsed).require([parsed])[0]


def store_of(root: Path, subject: str):
    return open_store(root / f"data/responses/contrast/{subject}/contrast=0.5.zarr").to_dataset()


def tuning_of(root: Path, subject: str, experiment: str = "contrast"):
    workspace = open_workspace(root)
    stage, key = workspace.stages["summary"], ("summary", experiment, subject)
    return stage.load(stage.select(key), table="tuning")


def test_labels_that_have_nothing_to_do_with_the_outputs_have_no_accuracy(shown):
    for subject in ("plain", "moved", "numbered"):
        details = record_of(shown, f"responses/contrast/{subject}:contrast=0.5").details
        assert [details[name] for name in ("accuracy", "accuracy_over_time", "chance")] == [None] * 3
        store = store_of(shown, subject)
        assert details["labels_match"] == store.attrs["labels_match"] == "none"
        assert "rank" not in store
        assert store["label"].values.tolist() == sorted(store["label"].values.tolist())
        assert not {"accuracy", "accuracy_sem", "chance"} & set(tuning_of(shown, subject))


def test_outputs_have_the_names_of_the_networks_own_classes(shown):
    store = store_of(shown, "plain")
    assert store["class"].values.tolist() == [0, 1, 2, 3, 4]
    assert store["class_name"].values.tolist() == NAMES
    assert "class_name" not in store_of(shown, "numbered")
    details = record_of(shown, "models/ready/balls:all_s0").details
    assert (details["own_classes"], details["classes_from"]) == (True, "list")
    assert record_of(shown, "models/bare/gratings:all_s0").details["classes_from"] == "numbers"


def test_labels_match_by_name_if_the_subject_says_so(shown):
    store = store_of(shown, "named")
    target = np.array([2, 0, -1])  # blue_ball and Green Ball are outputs, and 'no ball' is none
    assert store.attrs["labels_match"] == "name"
    scores = store["scores"].values
    own = np.take_along_axis(scores, np.maximum(target, 0)[:, None, None], axis=2)
    rank = np.where(target[:, None] >= 0, (scores > own).sum(axis=2), -1)
    np.testing.assert_array_equal(store["rank"].values, rank)
    right = scores[:, :, [0, 2]].argmax(axis=2) * 2 == target[:, None]  # the choices are the outputs that are shown
    details = record_of(shown, "responses/contrast/named:contrast=0.5").details
    np.testing.assert_allclose(details["accuracy_over_time"], right.mean(axis=0))
    assert details["chance"] == pytest.approx(2 / 3 / 2)


def test_labels_match_by_index_where_a_network_is_shown_its_own_dataset(shown):
    store = store_of(shown, "home")
    assert store.attrs["labels_match"] == "index"
    assert {"rank", "label"} <= set(store.variables)
    assert tuning_of(shown, "home")["accuracy"].notna().all()


def test_network_trained_on_another_dataset_is_that_datasets_network(shown):
    workspace = open_workspace(shown)
    stage = workspace.stages["responses"]
    target = stage.select(("responses", "contrast", "moved"), contrast=0.5)[0]
    assert str(stage.upstream(target)[0]) == "models/rcnn/gratings:pair_s2"
    assert stage.tags(target.key)["dataset"] == "balls"
    assert store_of(shown, "moved")["class"].values.tolist() == [2, 0]
    assert workspace.status(target).state == "fresh"


def test_images_are_standardized_by_the_statistics_of_the_network(shown):
    first = {name: store_of(shown, name)["image_contrast"].values for name in ("plain", "moved")}
    record = record_of(shown, "responses/contrast/moved:contrast=0.5")
    assert record.config["standardized_by"] == "trained_on"
    assert record.config["statistics"]["std"] == [0.29] * 3
    assert "standardized_by" not in record_of(shown, "responses/contrast/home:contrast=0.5").config
    # the same images in units of another standard deviation
    np.testing.assert_allclose(first["plain"] * 0.25, first["moved"] * 0.29)


def test_subjects_with_and_without_accuracy_are_compared(shown):
    workspace = open_workspace(shown)
    target = workspace.stages["summary"].select(("summary", "contrast"))[0]
    [record] = workspace.stages["summary"].require([target])
    table = workspace.stages["summary"].load([target]).set_index("subject")
    assert table.loc[["home", "named"], "accuracy"].notna().all()
    assert table.loc[["plain", "moved", "numbered"], "accuracy"].isna().all()
    assert record.details["without_accuracy"] == ["plain", "moved", "numbered"]
    [result] = check_targets([str(target)], root=str(shown), config=str(shown / "config"))
    assert result["passed"]
    assert "in 9 of them labels do not match the network's classes" in result["sentence"]


def test_phenomena_leave_out_those_of_accuracy(shown):
    workspace = open_workspace(shown)
    stage = workspace.stages["summary"]
    table = stage.load(stage.select(("summary", "phenomena", "plain")))
    assert "accuracy" not in set(table["phenomenon"])
    assert "contrast response" in set(table["phenomenon"])


@pytest.mark.parametrize("name", ["responses/contrast/plain:contrast=0.5", "summary/contrast_duration/plain"])
def test_metadata_and_pictures_work_without_accuracy(shown, name):
    workspace = open_workspace(shown)
    [target] = [t for key in workspace.keys for t in workspace.targets(key) if str(t) == name]
    record = record_of(shown, name)
    assert not {"accuracy", "chance"} & set(describe_record(workspace, target, record))
    assert draw_target(workspace.stage(target), target, record)


def test_a_new_readout_changes_nothing_where_there_is_no_accuracy(tmp_path, shown):
    root = tmp_path / "root"
    shutil.copytree(shown, root, symlinks=True)
    path = root / "config/config_experiments.yaml"
    edit_yaml(path, set_at("experiment_config.contrast.readout", {"choices": "all"}))
    target = "responses/contrast/plain:contrast=0.5"
    build_targets([target], root=str(root), config=str(root / "config"))
    assert record_of(root, target).details["accuracy"] is None
    assert record_of(root, target).config["readout"]["choices"] == "all"


REFUSED = [
    ("experiments", "subjects.plain.match", "index", None),
    ("experiments", "subjects.plain.trained_on", "balls/brigt", "class group"),
    ("experiments", "subjects.plain.trained_on", "bals/all", "dataset"),
    ("experiments", "subjects.plain.trained_on", "a/b/c", "neither a group nor <dataset>/<group>"),
    ("experiments", "subjects.plain.standardize", "dataset", "'balls' has no data_statistics"),
    ("experiments", "subjects.moved.standardize", "network", None),
    ("experiments", "subjects.moved.standardize", "dataset", "'balls' has no data_statistics"),
    ("models", "models.ready.statistics", None, "Write them there, or write statistics of the model 'ready'"),
    ("models", "models.rcnn.classes", ["a", "b"], "'classes' is for a network that is not trained here"),
    ("models", "models.rcnn.statistics", "imagenet", "'statistics' is for a network that is not trained here"),
    ("models", "models.ready.classes", ["a", "a"], "'a' is listed twice"),
    ("models", "models.ready.classes", [], "names no class"),
    ("models", "models.ready.statistics", "imagenets", "statistics"),
]


@pytest.mark.parametrize(("file", "key", "value", "message"), REFUSED)
def test_settings_that_do_not_go_together_are_refused(config, file, key, value, message):
    edit_yaml(config / f"config_{file}.yaml", set_at(key, value))
    if message is None:
        load_config(config)
        return
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        load_config(config)


def test_network_that_does_not_take_the_images_says_what_it_was_made_for(tmp_path):
    root = write_root(tmp_path / "root")
    edit_yaml(root / "config/config_data.yaml", set_at("data_resolution.balls", 20))
    message = r"RCNN cannot be shown frames of 3 channels and 20 pixels .*It was made for .* 16 pixels"
    with pytest.raises(ConfigError, match=message):
        build_chain(root, root / "config", "responses/contrast/moved:contrast=0.5")


@pytest.mark.parametrize(
    ("subject", "change", "message"),
    [
        ("plain", ("subjects.plain.match", "name"), "'match: name', but no class that is shown has the name of an"),
        ("plain", ("subjects.plain.trained_on", "gratings/all"), None),
    ],
)
def test_matching_by_name_needs_a_name_in_common(tmp_path, subject, change, message):
    root = write_root(tmp_path / "root")
    edit_yaml(root / "config/config_models.yaml", set_at("models.ready.classes", ["a", "b", "c", "d", "e"]))
    edit_yaml(root / "config/config_experiments.yaml", set_at(*change))
    target = f"responses/contrast/{subject}:contrast=0.5"
    if message is None:
        build_chain(root, root / "config", target)
        return
    with pytest.raises(ConfigError, match=message):
        build_chain(root, root / "config", target)


def test_grey_images_are_not_standardized_by_the_statistics_of_colours(tmp_path):
    root = write_root(tmp_path / "root")
    for path in (root / "data/raw/balls").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    with pytest.raises(ConfigError, match=r"images of 1 channel\(s\), but the statistics of the model 'ready'"):
        build_chain(root, root / "config", "responses/contrast/plain:contrast=0.5")


def test_torch_is_not_asked_for_a_networks_own_number_of_outputs():
    assert Ready()(torch.zeros(1, 3, 4, 4)).shape == (1, 5)
