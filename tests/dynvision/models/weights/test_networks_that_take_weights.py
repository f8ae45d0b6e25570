"""Networks that take weights: with shared, masked, wrapped, renamed and lazy parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save_model
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dynvision.errors import ConfigError
from dynvision.models.checkpoint import load_checkpoint
from tests.helpers.checkpoints import (
    WEIGHTS,
    assert_same,
    make_network,
    prefixed,
)


class Tied(nn.Module):
    """A network in which two layers share a matrix."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 3)
        self.outer.weight = self.inner.weight
        nn.init.constant_(self.inner.weight, fill)


def test_a_tensor_with_two_names_is_needed_once(tmp_path):
    save_model(Tied(2.0), tmp_path / "w.safetensors")
    for dropped in ("inner.weight", "outer.weight"):
        weights = {n: v for n, v in Tied(2.0).state_dict().items() if n != dropped}
        torch.save({"model": prefixed("module.", weights)}, tmp_path / f"{dropped}.pt")
    for path in sorted(tmp_path.iterdir()):
        network = Tied(0.0)
        load_checkpoint(path, network)
        assert (network.outer.weight == 2).all(), path
        assert network.outer.weight is network.inner.weight


def test_a_tensor_that_was_shared_fills_both_of_two(tmp_path):
    save_model(Tied(2.0), tmp_path / "w.safetensors")
    network = nn.ModuleDict({"inner": nn.Linear(3, 3), "outer": nn.Linear(3, 3)})
    load_checkpoint(tmp_path / "w.safetensors", network)
    assert (network["inner"].weight == 2).all()
    assert (network["outer"].weight == 2).all()


def test_two_matrices_are_none_that_is_shared(tmp_path):
    weights = Tied(2.0).state_dict()
    torch.save({**weights, "outer.weight": weights["outer.weight"] + 1}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"is one tensor with .* in the network, but not in the file"):
        load_checkpoint(tmp_path / "w.pt", Tied(0.0))


class Masked(nn.Module):
    """A network with a buffer that is not saved, and one that is infinite on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("positions", torch.arange(4), persistent=False)
        self.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))


def test_buffers_that_are_not_saved_may_be_in_the_file(tmp_path):
    torch.save({**Masked().state_dict(), "positions": torch.arange(9)}, tmp_path / "w.pt")
    load_checkpoint(tmp_path / "w.pt", Masked())


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel, lambda net: nn.ModuleDict({"net": net})])
def test_the_network_may_be_wrapped_itself(tmp_path, wrap):
    torch.save(WEIGHTS, tmp_path / "w.pt")
    network = make_network()
    wrapped = wrap(network)
    if isinstance(wrapped, AveragedModel):
        network = wrapped.module
        del wrapped.n_averaged
    load_checkpoint(tmp_path / "w.pt", wrapped)
    assert_same(network)


def test_a_network_reads_older_names_of_its_own(tmp_path):
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    old = {"0.bias": torch.ones(2), "0.weight_g": torch.ones(2, 1), "0.weight_v": torch.eye(2)}
    torch.save({"state_dict": prefixed("module.", old)}, tmp_path / "w.pt")
    load_checkpoint(tmp_path / "w.pt", network)
    assert torch.equal(network[0].weight, torch.eye(2))


class Versioned(nn.Linear):
    """A layer that must know of which version its weights are, as torchvision's MNASNet."""

    _version = 2

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *others: Any) -> None:
        if local_metadata.get("version") != 2:
            raise ValueError("of which version?")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def test_weights_that_fit_are_those_of_the_network_as_it_is_today(tmp_path):
    torch.save({"net": dict(nn.Linear(2, 2).state_dict())}, tmp_path / "w.pt")
    load_checkpoint(tmp_path / "w.pt", Versioned(2, 2))


class Stubborn(nn.Linear):
    """A layer whose own code refuses weights."""

    def load_state_dict(self, *arguments: Any, **named: Any) -> Any:
        raise RuntimeError("not today")


def test_a_network_that_refuses_its_weights_is_named(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"Stubborn does not take the weights in .* names and shapes fit \(not today"):
        load_checkpoint(tmp_path / "w.pt", Stubborn(2, 2))


def test_lazy_layers_take_the_shape_in_the_file(tmp_path):
    torch.save({"net": nn.Linear(3, 2).state_dict()}, tmp_path / "w.pt")
    network = nn.LazyLinear(2)
    load_checkpoint(tmp_path / "w.pt", network)
    assert network.weight.shape == (2, 3)
