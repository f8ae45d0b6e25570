"""Weights follow from the seed alone, whatever draws them and whenever."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError
from dynvision.models.loading import build_network

SHAPE = {"n_classes": 4, "resolution": 12, "channels_in": 3}


class LazyHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyConv2d(5, 3), nn.LazyBatchNorm2d(), nn.ReLU())
        self.head = nn.LazyLinear(4)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class LateHead(nn.Module):
    """Makes its last layer at the first frame, without torch's lazy modules."""

    def __init__(self) -> None:
        super().__init__()
        self.head = None

    def forward(self, x):
        if self.head is None:
            self.head = nn.Linear(x[0].numel(), 4)
        return self.head(x.flatten(1))


class LazyStep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.LazyLinear(4)

    def step(self, x, state):
        state = x.flatten(1) if state is None else state + x.flatten(1)
        return self.head(state), state


class DrawnByNumpy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)
        self.head.weight.data = torch.from_numpy(np.random.randn(4, 3)).float()
        self.head.bias.data.fill_(0)

    def forward(self, x):
        return self.head(x.mean((2, 3)))


class DrawnByPython(DrawnByNumpy):
    def __init__(self) -> None:
        super().__init__()
        self.head.weight.data = torch.tensor([[random.gauss(0, 1) for _ in range(3)] for _ in range(4)])


class DrawnElsewhere(DrawnByNumpy):
    def __init__(self) -> None:
        super().__init__()
        self.head.weight.data = torch.from_numpy(np.random.default_rng().standard_normal((4, 3))).float()


class Counted(DrawnByNumpy):
    count = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.head.weight, next(self.count))


class UnusedLazy(DrawnByNumpy):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.LazyLinear(3)


def build(network: type[nn.Module], seed: int) -> nn.Module:
    model = ModelConfig(**{"class": f"{__name__}:{network.__name__}", "training": None})
    return build_network(model, **SHAPE, seed=seed)


def weights_of(network: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("network", [LazyHead, LateHead, LazyStep, DrawnByNumpy, DrawnByPython])
def test_weights_follow_from_the_seed_alone(network):
    built = []
    for seed, other in ((0, 11), (1, 12), (2, 13), (0, 14)):
        torch.manual_seed(other), np.random.seed(other), random.seed(other)
        built.append(weights_of(build(network, seed)))
    assert built[0] == built[3]
    assert len({made["head.weight"] for made in built[:3]}) == 3


def test_building_leaves_every_generator_as_it_was():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tobytes()
    build(DrawnByPython, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before[1:]


@pytest.mark.parametrize("network", [DrawnElsewhere, Counted])
def test_weights_that_do_not_follow_from_the_seed_are_refused(network):
    with pytest.raises(ConfigError, match=rf"{network.__name__} has other weights when it is built again"):
        build(network, 0)


def test_a_lazy_layer_that_no_frame_reaches_is_named():
    with pytest.raises(ConfigError, match=r"UnusedLazy does not use 'spare\.weight' when it is shown a frame"):
        build(UnusedLazy, 0)


def test_a_module_that_fails_when_it_is_imported_is_one_sentence(tmp_path: Path, monkeypatch):
    (tmp_path / "broken_networks.py").write_text("import torch\nx = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = ModelConfig(**{"class": "broken_networks:Net"})
    with pytest.raises(ConfigError, match=r"fails when it is imported \(ZeroDivisionError: .*networks\.py line 2"):
        build_network(model, **SHAPE, seed=0)


class Failing(nn.Module):
    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        raise error("no such thing")


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, NotImplementedError, KeyError, Exception, OSError])
def test_whatever_a_constructor_raises_is_one_sentence(error, monkeypatch):
    monkeypatch.setattr(Failing.__init__, "__defaults__", (error,))
    with pytest.raises(ConfigError, match=rf"Failing does not take these args: {error.__name__}: .*no such thing"):
        build(Failing, 0)
