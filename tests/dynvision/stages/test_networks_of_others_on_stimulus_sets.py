"""Networks that were trained on something else, shown stimulus sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dynvision_assets as dva
from dynvision.config import load_config
from dynvision.errors import ConfigError
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.networks_of_others import record_of, responses_of, write_root

pytestmark = pytest.mark.slow
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
