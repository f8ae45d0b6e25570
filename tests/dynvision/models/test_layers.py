"""Layers are named, matched and kept by module, by call in a step, and by part of what they return."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dynvision.errors import ConfigError, UnknownNameError
from dynvision.models.checking import check_layers
from dynvision.models.layers import find_layer, match_layers, record_layers


class Reading(nn.Module):
    """Uses one module three times, and modules that return several tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 2)})
        self.both = Both(self.heads)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        seen, _ = self.lstm(self.relu(tokens - 1))
        seen, _ = self.attention(self.relu(seen), seen, seen)
        return self.both(self.relu(seen).mean(1))["scores"]


class Both(nn.Module):
    def __init__(self, heads: nn.ModuleDict) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x):
        return {"aux": self.heads["b"](x), "scores": self.heads["a"](x), "none": None}


@pytest.fixture
def network() -> Reading:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Reading().eval()


@torch.no_grad()
def record(network: nn.Module, layers: list[str]):
    with record_layers(network, layers) as outputs:
        for _ in range(2):
            outputs.clear()
            network(torch.ones(2, 3, 4, 4) * torch.linspace(0, 2, 4))
    return outputs


@pytest.mark.parametrize(
    ("patterns", "layers"),
    [
        (["relu#2", "lstm.1.0"], ["relu#2", "lstm.1.0"]),
        (["both.scores", "lstm", "lstm.0"], ["lstm", "lstm.0", "both.scores"]),
        (["re*#1", "relu#1"], ["relu#1"]),
        (["heads.*", "heads.a"], ["heads.a", "heads.b"]),
        (["*.a"], ["heads.a"]),
        (["relu#2.0"], ["relu#2.0"]),
    ],
)
def test_calls_and_parts_are_matched(network, patterns, layers):
    assert match_layers(network, patterns) == layers


def test_every_call_is_matched_where_calls_are_known(network):
    assert check_layers(network, ["relu#*", "lstm.0"], 3, 4) == ["relu#1", "relu#2", "relu#3", "lstm.0"]
    with pytest.raises(ConfigError, match=r"'relu#\*': write the number of the call"):
        match_layers(network, ["relu#*"])


def test_a_module_with_the_name_of_a_part_is_the_module():
    network = nn.Sequential(nn.Sequential(nn.ReLU()))
    assert match_layers(network, ["0.0"]) == ["0.0"]
    assert find_layer(network, "0.0").module == "0.0"


@pytest.mark.parametrize("pattern", ["relu#", "relu#x", "relv#1", "lstm.*", "head.a", "heads.c#1x", "#1", ".0"])
def test_what_matches_nothing_names_the_nearest(network, pattern):
    with pytest.raises(UnknownNameError, match=r"no layer of Reading is called '"):
        match_layers(network, [pattern])


def test_a_slip_in_the_name_of_a_layer_is_no_part():
    network = nn.Sequential()
    network.area = nn.Sequential()
    network.area.lateral = nn.ReLU()
    with pytest.raises(UnknownNameError, match=r"Did you mean 'area\.lateral'\?"):
        match_layers(network, ["area.latral"])


def test_first_tensor_or_the_part_is_kept(network):
    outputs = record(
        network, ["lstm", "lstm.0", "lstm.1", "lstm.1.1", "attention", "attention.1", "both", "both.scores"]
    )
    assert outputs["lstm"].shape == (2, 16, 4)
    assert torch.equal(outputs["lstm"], outputs["lstm.0"])
    assert outputs["lstm.1"].shape == outputs["lstm.1.1"].shape == (1, 2, 4)
    assert not torch.equal(outputs["lstm.1"], outputs["lstm.1.1"])
    assert (outputs["attention"].shape, outputs["attention.1"].shape) == ((2, 16, 4), (2, 16, 16))
    assert not torch.equal(outputs["both"], outputs["both.scores"])


def test_each_call_is_kept_as_it_was(network):
    outputs = record(network, ["relu#1", "relu#2", "relu#3"])
    assert [outputs[f"relu#{number}"].shape for number in (1, 2, 3)] == [(2, 16, 3), (2, 16, 4), (2, 16, 4)]
    assert outputs.calls["relu"] == 3


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("relu#4", "the layer 'relu#4' is not used when Reading makes a step: 'relu' is called 3 times"),
        ("lstm.2", r"the output of the layer 'lstm', a tuple, has no part '2'\. .*Valid: 0, 1"),
        ("both.score", r"has no part 'score'\. Did you mean 'scores'\?"),
        ("both.none", "the layer 'both.none' returns a dict, not a tensor"),
        ("relu#1.0", r"no layer of Reading is called 'relu#1\.0', and 'relu' returns one Tensor, which has no parts"),
        ("relu.hidden", r"no layer of Reading is called 'relu\.hidden', and 'relu' returns one Tensor"),
    ],
)
def test_a_call_or_part_that_does_not_exist_is_found_before_training(network, pattern, message):
    with pytest.raises(ConfigError, match=message):
        check_layers(network, [pattern], 3, 4)


class Odd(nn.Module):
    def __init__(self, make) -> None:
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x.to(torch.complex64), "the layer '0' returns complex numbers, which cannot be recorded"),
        (lambda x: x[:0], "the layer '0' returns nothing, which cannot be recorded"),
        (lambda x: torch.nested.nested_tensor([x[0], x[0]]), "the layer '0' returns a nested tensor"),
        (lambda x: [], "the layer '0' returns a list, not a tensor"),
    ],
)
def test_what_cannot_be_recorded_is_one_sentence(make, message):
    network = nn.Sequential(Odd(make))
    with record_layers(network, ["0"]), pytest.raises(ConfigError, match=message):
        network(torch.ones(2, 3))


@pytest.mark.parametrize("make", [lambda x: x > 0, lambda x: x.to_sparse(), lambda x: x.int(), lambda x: x.bfloat16()])
def test_other_numbers_are_kept_as_plain_ones(make):
    network = nn.Sequential(Odd(make))
    with record_layers(network, ["0"]) as outputs:
        network(torch.ones(2, 3))
    assert outputs["0"].layout is torch.strided
    assert outputs["0"].float().eq(1).all()
