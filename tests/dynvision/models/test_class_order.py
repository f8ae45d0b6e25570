from __future__ import annotations

import pytest

from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError, UnknownNameError
from dynvision.experiments.reading import open_store
from dynvision.models.class_order import order_classes, read_class_order
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, set_at, write_small_config

TWELVE = [{"index": n, "name": f"class {n}", "folder": str(n), "count": 5} for n in range(12)]
PETS = [{"index": n, "name": name, "folder": name} for n, name in enumerate(("cat", "dog", "eel"))]


def indices(order, classes=PETS):
    return [entry["index"] for entry in order_classes(classes, order, "models/x/pets")]


def test_the_order_of_image_folder_is_that_of_texts():
    assert indices("imagefolder", TWELVE) == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    assert order_classes(TWELVE, "imagefolder", "x")[2] == TWELVE[10]


def test_an_order_is_a_list_of_names_folders_or_indices():
    assert indices(["eel", "cat", "dog"]) == [2, 0, 1]
    assert indices([2, 0, 1]) == [2, 0, 1]
    assert indices(["2", "cat", 1]) == [2, 0, 1]
    assert indices([str(n) for n in reversed(range(12))], TWELVE) == list(reversed(range(12)))
    assert indices(None) == [0, 1, 2]


def test_a_name_counts_more_than_a_number():
    digits = [{"index": n, "name": str(9 - n), "folder": str(n)} for n in range(10)]
    assert indices(["9", *map(str, range(9))], digits)[0] == 0
    assert indices([9, *range(9)], digits)[0] == 9


def test_an_order_names_each_class_once():
    with pytest.raises(
        ConfigError, match=r"models/x/pets: class_order names 2 classes, but the network has 3 outputs\."
    ):
        indices(["cat", "dog"])
    with pytest.raises(ConfigError, match="class_order names the class 'dog' twice, as outputs 0 and 2"):
        indices(["dog", "cat", 1])
    with pytest.raises(UnknownNameError, match=r"models/x/pets: class_order in .*: unknown class 'dok'\. Did you mean"):
        indices(["dok", "cat", "eel"])
    with pytest.raises(UnknownNameError, match=r"unknown class '3'\. Did you mean '2'\? Valid: 0, 1, 2\."):
        indices([3, 0, 1])


def test_a_file_has_one_class_a_line(tmp_path):
    (tmp_path / "order.txt").write_text("\ufeffeel\r\n cat\ndog\n\n", encoding="utf-8")
    assert read_class_order("order.txt", tmp_path) == ["eel", "cat", "dog"]
    assert read_class_order("imagefolder", tmp_path) == "imagefolder"
    with pytest.raises(ConfigError, match=r"the file of class_order .*/none\.txt cannot be read \(.*one class a line"):
        read_class_order("none.txt", tmp_path)


def test_the_order_is_that_of_a_network_trained_elsewhere():
    with pytest.raises(ValueError, match="'class_order' is for a network that is not trained here"):
        ModelConfig(**{"class": "a:B", "class_order": "imagefolder"})
    with pytest.raises(ValueError, match="'cat' is listed twice"):
        ModelConfig(**{"class": "a:B", "class_order": ["cat", "cat"], "training": None})
    assert ModelConfig(**{"class": "a:B", "class_order": "ImageFolder", "training": None}).class_order == "imagefolder"
    assert ModelConfig(**{"class": "a:B", "class_order": [1, 0, "2"], "checkpoint": "w"}).class_order == [1, 0, "2"]


@pytest.mark.slow
def test_the_order_is_in_the_store_and_in_the_version(tmp_path):
    config, name = write_small_config(tmp_path / "config"), "models/own/gratings:all_s0"
    layers = "nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, n_classes))"
    (tmp_path / "own_order.py").write_text(f"from torch import nn\ndef make(n_classes):\n    return {layers}\n")
    entry = {"class": "own_order:make", "training": None, "record": {"layers": ["2"]}}
    edit_yaml(config / "config_experiments.yaml", set_at("subjects.own", {"model": "own", "dataset": "gratings"}))
    folders, versions = {"root": str(tmp_path), "config": str(config)}, []
    for order in (None, [2, 0, 1], "order.txt"):
        settings = entry if order is None else entry | {"class_order": order}
        edit_yaml(config / "config_models.yaml", set_at("models.own", settings))
        if order == "order.txt":
            with pytest.raises(ConfigError, match=r"order\.txt cannot be read"):
                build_chain(tmp_path, config, name)
            (tmp_path / "order.txt").write_text("2\n1\n0\n")
        build_chain(tmp_path, config, name)
        (record,) = build_targets([name], **folders)
        versions.append(record["data_version"])
    assert len(set(versions)) == len(versions)
    (tmp_path / "order.txt").write_text("1\n2\n0\n")
    build_chain(tmp_path, config, "responses/contrast/own:0.5")
    tree = open_store(tmp_path / "data/responses/contrast/own/contrast=0.5.zarr")
    assert tree["class"].values.tolist() == [1, 2, 0]
    workspace = Workspace.open(tmp_path, config)
    (target,) = [t for t in workspace.targets(("models", "own", "gratings")) if t.partition == "all_s0"]
    assert [entry["index"] for entry in workspace.read_record(target).details["classes"]] == [1, 2, 0]
