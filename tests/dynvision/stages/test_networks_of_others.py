"""Networks that were trained on something else than the images that they are shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import dynvision_assets as dva
from dynvision.config import load_config
from dynvision.errors import ConfigError, UnknownNameError
from dynvision.experiments.reading import open_store
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


MORE = ("responses/duration/moved", "responses/duration/numbered")


def write_root(root: Path) -> Path:
    """A root with gratings, and with one photograph a class of balls, in a split for testing alone."""
    config = write_small_config(root / "config")
    bare = {key: value for key, value in READY.items() if key != "classes"}
    edit_yaml(config / "config_models.yaml", lambda c: c["models"].update(ready=READY, bare=bare))
    edit_yaml(config / "config_data.yaml", lambda c: (c["data_resolution"].update(balls=16), c.update(use_ffcv=False)))
    edit_yaml(config / "config_data.yaml", set_at("data_groups.balls", {"bright": [0, 2]}))

    def choose(content) -> None:
        content["subjects"] = SUBJECTS
        experiments = content["experiment_config"]
        experiments.pop("contrast_duration")
        experiments["contrast"].pop("compare_on", None)
        experiments["contrast"]["data_args"]["contrast"] = [0.5, 1.0]
        experiments["contrast"]["subjects"] = ["plain", "named", "home"]
        experiments["duration"]["data_args"]["stim"] = [2]
        experiments["duration"]["subjects"] = ["moved", "numbered"]

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
    build_chain(root, root / "config", "summary/contrast", "summary/phenomena/plain", *MORE)
    return root


@pytest.fixture
def config(tmp_path) -> Path:
    return write_root(tmp_path / "root") / "config"


def record_of(root: Path, target: str):
    workspace = open_workspace(root)
    [parsed] = [t for key in workspace.keys for t in workspace.targets(key) if str(t) == target]
    return workspace.stage(parsed).require([parsed])[0]


def responses_of(root: Path, subject: str):
    """The record of one condition of a subject, and the root of its store."""
    condition = "duration=2" if subject in ("moved", "numbered") else "contrast=0.5"
    experiment = condition.partition("=")[0]
    store = root / f"data/responses/{experiment}/{subject}/{condition}.zarr"
    return record_of(root, f"responses/{experiment}/{subject}:{condition}"), open_store(store).to_dataset()


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
        build_chain(root, root / "config", "responses/duration/moved:duration=2")


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


def test_images_in_colour_are_not_standardized_by_the_statistics_of_grey_ones(tmp_path):
    root = write_root(tmp_path / "root")
    edit_yaml(root / "config/config_models.yaml", set_at("models.ready.statistics", {"mean": [0.5], "std": [0.2]}))
    with pytest.raises(ConfigError, match=r"images of 3 channel\(s\), but the statistics of the model 'ready'"):
        build_chain(root, root / "config", "responses/contrast/plain:contrast=0.5")


def test_torch_is_not_asked_for_a_networks_own_number_of_outputs():
    assert Ready()(torch.zeros(1, 3, 4, 4)).shape == (1, 5)


SET = {"resolution": 16, "folder": "photos", "table": "photos/stimuli.csv"}


def write_set(root: Path, label: dict | None = None) -> Path:
    """A root with four photographs and a table about them."""
    write_root(root)
    folder = root / "photos"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "stimuli.csv").write_text(
        "filename,category,ball,number\n0.png,a,blue ball,2\n1.png,b,no ball,3\n2.png,a,White_Ball,4\n3.png,b,,0\n"
    )
    given = {**SET, "label": label} if label else SET
    edit_yaml(root / "config/config_data.yaml", lambda content: content.update(stimulus_sets={"photos": given}))
    edit_yaml(root / "config/config_experiments.yaml", set_at("subjects.plain.dataset", "photos"))
    return root


@pytest.mark.parametrize(
    ("label", "by", "classes"),
    [
        (None, "none", None),
        ({"column": "ball", "by": "name"}, "name", [2, -1, 4, -1]),
        ({"column": "number", "by": "index"}, "index", [2, 3, 4, 0]),
    ],
)
def test_labels_of_a_stimulus_set_match_as_it_says(tmp_path, label, by, classes):
    root = write_set(tmp_path / "root", label)
    build_chain(root, root / "config", "responses/contrast/plain:contrast=0.5")
    record, store = responses_of(root, "plain")
    assert record.details["labels_match"] == by
    assert (record.details["accuracy"] is None) == (classes is None)
    assert ("rank" in store) == ("label" in store.coords) == (classes is not None)
    assert record_of(root, "models/ready/photos:all_s0").details["classes_from"] == "list"
    if classes is not None:
        target = np.array(classes)
        scores = store["scores"].values
        own = np.take_along_axis(scores, np.maximum(target, 0)[:, None, None], axis=2)
        rank = np.where(target[:, None] >= 0, (scores > own).sum(axis=2), -1)
        np.testing.assert_array_equal(store["rank"].values, rank)


def test_trained_network_is_shown_a_stimulus_set_only_if_it_is_trained_elsewhere(tmp_path):
    root = write_set(tmp_path / "root")
    edit_yaml(root / "config/config_experiments.yaml", set_at("subjects.home.dataset", "photos"))
    with pytest.raises(ConfigError, match=r"'photos' is a stimulus set, .* Write trained_on: <dataset>/<group>"):
        load_config(root / "config")
    edit_yaml(root / "config/config_experiments.yaml", set_at("subjects.home.trained_on", "gratings/all"))
    load_config(root / "config")


def test_network_that_is_not_trained_has_no_group_of_a_stimulus_set(tmp_path):
    root = write_set(tmp_path / "root")
    edit_yaml(root / "config/config_data.yaml", set_at("data_groups.photos", {"a": {"where": {"category": "a"}}}))
    edit_yaml(root / "config/config_experiments.yaml", set_at("subjects.plain.group", "a"))
    load_config(root / "config")
    edit_yaml(root / "config/config_experiments.yaml", set_at("subjects.plain.trained_on", "a"))
    with pytest.raises(ConfigError, match=r"plain\.trained_on: 'photos' is a stimulus set, .* 'group' says which"):
        load_config(root / "config")


def test_a_match_needs_labels(tmp_path):
    root = write_set(tmp_path / "root")
    edit_yaml(root / "config/config_experiments.yaml", set_at("subjects.plain.match", "index"))
    with pytest.raises(ConfigError, match=r"'match: index', but nothing says what the images show"):
        build_chain(root, root / "config", "responses/contrast/plain:contrast=0.5")


def test_responses_to_a_stimulus_set_show_their_images_and_no_layer_has_classes(tmp_path):
    root = write_set(tmp_path / "root")
    build_chain(root, root / "config", "responses/contrast/plain:contrast=0.5")
    responses = dva.load("responses/contrast/plain", contrast=0.5, root=root)
    shown = dva.images(responses, root=root)
    assert shown.dims == ("sample", "channel", "y", "x")
    assert shown["category"].values.tolist() == ["a", "b", "a", "b"]
    photo = Image.open(root / "photos/2.png")
    np.testing.assert_allclose(shown.values[2].mean(axis=(1, 2)), np.asarray(photo).mean(axis=(0, 1)) / 255, atol=0.05)
    assert "class_name" not in responses["relu"].coords


def test_numbered_outputs_have_no_names_of_the_datasets_classes(shown):
    assert "class_name" not in dva.load("responses/duration/numbered", duration=2, root=shown).to_dataset()
