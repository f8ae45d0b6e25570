from __future__ import annotations

import os
import re

import pytest
import torch
from torch import nn

from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError, DamagedFileError, MissingError, UnknownNameError
from dynvision.models import RCNN
from dynvision.models.checking import check_network
from dynvision.models.loading import (
    build_network,
    load_weights,
    match_layers,
    record_layers,
    save_weights,
    step_network,
)
from dynvision.models.weights_header import read_weights_metadata

SHAPE = {"n_classes": 4, "resolution": 16, "channels_in": 3}


class Still(nn.Module):
    """A network without a time axis, which names its classes `num_classes`."""

    def __init__(self, num_classes: int, width: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(width))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


class NoModule:
    """A class that torch does not know."""


class Words(nn.Module):
    """A layer that returns no tensor."""

    def forward(self, x: torch.Tensor) -> tuple[str, None]:
        return "no tensor", None


def make_config(class_path: str = "dynvision.models:RCNN", **args) -> ModelConfig:
    return ModelConfig(**{"class": class_path, "args": args})


def weights_of(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = weights_of(build_network(make_config(), **SHAPE, seed=3))
    torch.manual_seed(2)
    assert torch.equal(weights_of(build_network(make_config(), **SHAPE, seed=3)), first)
    assert not torch.equal(weights_of(build_network(make_config(), **SHAPE, seed=4)), first)


def test_building_leaves_the_global_generator_as_it_was():
    before = torch.get_rng_state()
    build_network(make_config(), **SHAPE, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_arguments_of_the_config_win_and_the_rest_is_filled_in():
    network = build_network(make_config(tau=20.0, n_classes=9), **SHAPE, seed=0)
    assert (network.tau, network.n_classes) == (20.0, 9)
    assert network.V1.feedforward.in_channels == 3


def test_any_module_works_and_one_without_time_sees_each_frame_afresh():
    network = build_network(make_config(f"{__name__}:Still", width=3), **SHAPE, seed=0)
    frame = torch.rand(2, 3, 16, 16)
    output, state = step_network(network, frame, None)
    assert output.shape == (2, 4)
    assert state is None
    assert torch.equal(step_network(network, frame, state)[0], output)


@pytest.mark.parametrize("path", ["dynvision.models:RCCN", "no_such_package:Net"])
def test_class_that_cannot_be_imported_is_named(path):
    with pytest.raises(ConfigError, match=rf"config_models\.yaml: the class '{path}' cannot be imported"):
        build_network(make_config(path), **SHAPE, seed=0)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("dynvision.models:RCCN", "the module 'dynvision.models' has no 'RCCN'. Did you mean 'RCNN'?"),
        (f"{__name__}:Stil", "Did you mean 'Still'?"),
        ("torchvision.models:resnet19", "has no 'resnet19'. Did you mean 'resnet1"),
        ("dynvision.modls:RCNN", "there is no module 'dynvision.modls'. Did you mean 'dynvision.models'?"),
        ("own_nett:Net", "there is no module 'own_nett'. Did you mean 'own_net'? Modules are looked for in the root"),
        ("own_net:Net", "the module 'own_net' imports 'no_such_package', which is not installed."),
    ],
)
def test_a_misspelt_class_or_module_names_the_nearest(path, message, tmp_path, monkeypatch):
    (tmp_path / "own_net.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_network(make_config(path), **SHAPE, seed=0)


def test_arguments_that_the_class_does_not_take_are_named():
    with pytest.raises(
        ConfigError, match=r"config_models\.yaml: dynvision\.models:RCNN does not take these args: .*chanels"
    ):
        build_network(make_config(chanels=[1]), **SHAPE, seed=0)


def test_class_that_is_no_module_is_an_error():
    with pytest.raises(ConfigError, match=r"NoModule is no torch\.nn\.Module"):
        build_network(make_config(f"{__name__}:NoModule"), **SHAPE, seed=0)


def test_layers_are_named_or_matched_within_their_level():
    network = RCNN(4, 16)
    assert match_layers(network, ["V*", "IT", "classifier"]) == ["V1", "V2", "V4", "IT", "classifier"]
    assert match_layers(network, ["classifier", "V4"]) == ["V4", "classifier"]
    assert match_layers(network, ["V1.*"]) == ["V1.feedforward", "V1.lateral"]


def test_unknown_layer_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no layer of RCNN is called 'clasifier'\. Did you mean 'classifier'\?"):
        match_layers(RCNN(4, 16), ["V1", "clasifier"])


def test_latest_output_of_each_layer_is_kept_and_hooks_are_removed():
    network = RCNN(4, 16)
    with record_layers(network, ["V1", "classifier"]) as outputs:
        _, state = network.step(torch.rand(2, 3, 16, 16))
        assert torch.equal(outputs["V1"], state["V1"].detach())
        assert not outputs["classifier"].requires_grad
    outputs.clear()
    network.step(torch.rand(2, 3, 16, 16))
    assert outputs == {}


def test_hooks_are_removed_after_an_error_too():
    network = RCNN(4, 16)
    with pytest.raises(RuntimeError), record_layers(network, ["V1"]):
        raise RuntimeError
    assert not network.V1._forward_hooks


def test_layer_that_returns_no_tensor_is_an_error():
    network = nn.Sequential(Words())
    with record_layers(network, ["0"]), pytest.raises(ConfigError, match="the layer '0' returns a tuple, not a tensor"):
        network(torch.zeros(1))


def test_weights_come_back_with_their_metadata(tmp_path):
    path = tmp_path / "x" / "trained.safetensors"
    saved = build_network(make_config(), **SHAPE, seed=1)
    save_weights(path, saved, {"target": "models/x", "loss": [0.5, 0.25]})
    loaded = build_network(make_config(), **SHAPE, seed=2)
    load_weights(path, loaded)
    assert torch.equal(weights_of(loaded), weights_of(saved))
    assert read_weights_metadata(path) == {"target": "models/x", "loss": [0.5, 0.25]}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


class Versioned(nn.Linear):
    """A layer that must know of which version its weights are, as torchvision's MNASNet."""

    _version = 2

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *others):
        if local_metadata.get("version") != 2:
            raise ValueError("of which version?")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def test_weights_of_a_layer_with_versions_come_back(tmp_path):
    saved, loaded = Versioned(2, 2), Versioned(2, 2)
    save_weights(tmp_path / "x.safetensors", saved, {})
    load_weights(tmp_path / "x.safetensors", loaded)
    assert torch.equal(weights_of(loaded), weights_of(saved))


def test_missing_weights_name_the_command(tmp_path):
    with pytest.raises(MissingError, match=r"trained\.safetensors does not exist\. Make it: dynvision make "):
        load_weights(tmp_path / "trained.safetensors", RCNN(4, 16))


def test_weights_of_another_network_are_an_error(tmp_path):
    save_weights(tmp_path / "x.safetensors", RCNN(5, 16), {})
    with pytest.raises(DamagedFileError, match=r"x\.safetensors does not fit the network or is damaged"):
        load_weights(tmp_path / "x.safetensors", RCNN(4, 16))


@pytest.mark.parametrize("left", [0, 4, 100, -1])
def test_truncated_weights_are_damaged(tmp_path, left):
    path = tmp_path / "x.safetensors"
    save_weights(path, RCNN(4, 16), {"target": "t"})
    os.truncate(path, left if left >= 0 else path.stat().st_size + left)
    with pytest.raises(DamagedFileError, match=r"x\.safetensors does not fit the network or is damaged"):
        load_weights(path, RCNN(4, 16))


def test_file_that_is_no_weights_file_has_no_metadata(tmp_path):
    path = tmp_path / "x.safetensors"
    assert read_weights_metadata(path) is None
    for content in (b"", b"\0" * 8, b"\xff" * 64, b"\2\0\0\0\0\0\0\0{}", b"\2\0\0\0\0\0\0\0[]"):
        path.write_bytes(content)
        assert read_weights_metadata(path) is None


class Noisy(torch.nn.Module):
    """A network with noise of its own and a part that is kept in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = torch.nn.BatchNorm2d(3).eval()

    def step(self, x, state):
        return self.frozen(x).mean(dim=(2, 3))[:, :2] + torch.randn(len(x), 2), state


class Remembering(torch.nn.Module):
    """A network that keeps a state between calls."""

    seen = 0

    def forward(self, x):
        self.seen += 1
        return x.mean(dim=(2, 3))[:, :2] + self.seen


def test_network_with_noise_inside_passes_the_check_and_keeps_its_modes():
    network = Noisy().train()
    network.frozen.eval()
    before = torch.random.get_rng_state()
    check_network(network, 2, 3, 8)
    assert (network.training, network.frozen.training) == (True, False)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("network", "classes", "message"),
    [
        (Remembering(), 2, r"keeps a state of its own\. Give it a method step\(x, state\)"),
        (Noisy(), 5, r"an output of shape \[2\] where 5 class scores are needed"),
        (torch.nn.Linear(3, 2), 2, r"Linear cannot be shown frames of 3 channels and 8 pixels"),
    ],
)
def test_network_that_cannot_be_used_is_refused_before_training(network, classes, message):
    with pytest.raises(ConfigError, match=message):
        check_network(network, classes, 3, 8)


class Hidden(nn.Module):
    """A network that hides a part of its state, and starts anew if it is given none."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.kept = 0.0

    def step(self, x, state):
        self.kept = x.mean() if state is None else self.kept + x.mean()
        return self.layer(x.mean(dim=(2, 3))) + self.kept, 1


def test_network_that_hides_a_part_of_its_state_is_refused():
    with pytest.raises(ConfigError, match="it keeps a state of its own"):
        check_network(Hidden(), 2, 3, 8)


def test_tied_weights_are_saved_and_tied_again(tmp_path):
    def tied():
        network = nn.Module()
        network.first = nn.Linear(4, 4, bias=False)
        network.second = nn.Linear(4, 4, bias=False)
        network.second.weight = network.first.weight
        return network

    network, other = tied(), tied()
    save_weights(tmp_path / "w.safetensors", network, {})
    load_weights(tmp_path / "w.safetensors", other)
    assert torch.equal(other.first.weight, network.first.weight)
    assert other.second.weight is other.first.weight
