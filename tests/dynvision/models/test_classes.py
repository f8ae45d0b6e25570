"""The classes of a network's outputs: the dataset's, its own, or numbers."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_model_weights, list_models, resnet18

from dynvision.config.sections.data import Statistics
from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError
from dynvision.models.classes import name_outputs, read_own_classes
from dynvision.models.making.orders import NetworkOrder, take_network

GROUP, DATASET = [{"index": 7}, {"index": 9}], [{"index": n} for n in range(10)]


def order(**settings) -> NetworkOrder:
    model = ModelConfig.model_validate({"class": "torchvision.models:resnet18", "training": None, "record": LAYERS})
    settings = {"checkpoint": None, "epochs": [], **settings}
    return NetworkOrder("models/res/pair:all_s0", model, GROUP, 3, 32, 0, **settings)


LAYERS = {"layers": ["fc"], "resolution": "unit"}


def test_outputs_are_the_classes_of_the_group_or_of_the_dataset():
    for outputs, classes in ((2, GROUP), (10, DATASET)):
        named = name_outputs(outputs, None, GROUP, DATASET, "x")
        assert named.to_details() == {"classes": classes}


def test_outputs_that_nothing_names_are_numbered():
    details = name_outputs(5, None, GROUP, DATASET, "x").to_details()
    assert [entry["name"] for entry in details["classes"]] == ["0", "1", "2", "3", "4"]
    assert details["own_classes"]
    assert details["classes_from"] == "numbers"
    assert name_outputs(2, None, [], [], "x").source == "numbers"


def test_own_classes_of_another_number_are_refused():
    with pytest.raises(ConfigError, match=r"x: the network has 2 outputs, but its 'classes' \(list\) are 3"):
        name_outputs(2, ("list", ["a", "b", "c"]), GROUP, DATASET, "x")


def test_imagenet_has_the_names_of_torchvision(tmp_path):
    source, names = read_own_classes("imagenet", tmp_path)
    assert (source, len(names), names[207]) == ("imagenet", 1000, "golden retriever")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.txt", "tench\nshark \n\n"),
        ("c.json", '["tench", "shark"]'),
        ("c.json", '{"1": ["n01", "shark"], "0": ["n00", "tench"]}'),
        ("c.json", '{"0": "tench", "1": "shark"}'),
        ("c.csv", "tench\nshark\n"),
        ("c.csv", "index,name\n1,shark\n0,tench\n"),
        ("c.csv", '\ufeffname,synset\n"tench",n00\nshark,n01\n'),
    ],
)
def test_file_of_classes_is_read_whatever_its_form(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_own_classes(name, tmp_path) == (name, ["tench", "shark"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.txt", "", "has no name"),
        ("c.txt", "a\n\nb\n", "has an empty name"),
        ("c.txt", "a\nb\na\n", "has the name 'a' twice"),
        ("c.json", '{"0": "a", "2": "b"}', "not those from 0 to 1"),
        ("c.json", "{", "cannot be read"),
        ("c.csv", "a,b\nc,d\n", "none is called 'name'"),
        ("c.csv", "index,name\nx,a\n", "cannot be read"),
        ("c.csv", "index,name\n0\n", "cannot be read"),
        ("c.csv", "", "cannot be read"),
        (None, "", "cannot be read"),
    ],
)
def test_file_of_classes_that_cannot_be_used_says_why(tmp_path, name, text, message):
    if name is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_own_classes(name or "missing.txt", tmp_path)


@pytest.mark.slow
def test_network_that_keeps_its_outputs_is_not_told_the_number_of_classes():
    assert len(take_network(order(), []).details["classes"]) == 2
    details = take_network(order(keeps_its_outputs=True), []).details
    assert (len(details["classes"]), details["own_classes"], details["n_classes"]) == (1000, True, None)


@pytest.mark.slow
def test_checkpoint_of_the_networks_own_outputs_is_taken(tmp_path):
    save_file(resnet18(num_classes=20).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="are not those of ResNet"):
        take_network(order(checkpoint=tmp_path / "w.safetensors"), [])
    save_file(resnet18().state_dict(), tmp_path / "w.safetensors")
    made = take_network(order(checkpoint=tmp_path / "w.safetensors"), [])
    assert len(made.details["classes"]) == 1000
    assert torch.equal(made.weights["init"]["fc.bias"], made.network.state_dict()["fc.bias"])


@pytest.mark.slow
def test_checkpoint_of_the_datasets_classes_is_taken(tmp_path):
    save_file(resnet18(num_classes=2).state_dict(), tmp_path / "w.safetensors")
    details = take_network(order(checkpoint=tmp_path / "w.safetensors"), []).details
    assert details == {"classes": GROUP, "channels": 3}


@pytest.mark.parametrize("name", list_models(module=torchvision.models))
def test_statistics_of_torchvisions_networks_are_those_of_their_weights(name):
    for weights in get_model_weights(name):
        transform, args = weights.transforms(), {"weights": weights.name}
        model = ModelConfig.model_validate({"class": f"torchvision.models:{name}", "args": args, "training": None})
        assert model.own_statistics == Statistics(mean=list(transform.mean), std=list(transform.std))
        assert len(weights.meta["categories"] or range(1000)) == 1000


def test_statistics_of_networks_for_video_are_not_guessed():
    model = ModelConfig.model_validate({"class": "torchvision.models.video:r3d_18", "training": None})
    assert model.own_statistics is None


def test_files_of_classes_may_be_json_of_the_usual_index(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps({str(n): [f"n{n}", f"class {n}"] for n in range(12)}))
    assert read_own_classes("index.json", tmp_path)[1][11] == "class 11"


class Needy(nn.Module):
    """A network that must be told how many classes there are."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.scores = nn.Linear(3, n_classes)

    def forward(self, frame: Tensor) -> Tensor:
        return self.scores(frame.mean(dim=(2, 3)))


def test_a_network_is_told_how_many_classes_of_its_own_it_has():
    model = ModelConfig(**{"class": f"{__name__}:Needy", "training": None, "record": {"layers": ["scores"]}})
    needy = NetworkOrder("models/needy/photos", model, [], 3, 8, 0, None, [], ("list", ["a", "b", "c", "d"]), True)
    made = take_network(needy, [])
    assert made.network.scores.out_features == 4
    assert [entry["name"] for entry in made.details["classes"]] == ["a", "b", "c", "d"]
