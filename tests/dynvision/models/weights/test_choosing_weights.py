"""Which weights of a file are meant, and what is said of weights that do not fit."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
import torch
from torch import nn

from dynvision.errors import ConfigError, UnknownNameError
from dynvision.models.checkpoint import load_checkpoint
from tests.helpers.checkpoints import (
    OTHERS,
    WEIGHTS,
    assert_same,
    make_network,
    prefixed,
)

AMBIGUOUS: dict[str, tuple[Any, str]] = {
    "an average beside": (prefixed("model.") | prefixed("ema_model.module.", OTHERS), "ema_model"),
    "an average, and no prefix": (WEIGHTS | prefixed("ema_model.", OTHERS), "ema_model"),
    "two keys": ({"model": WEIGHTS, "model_ema": OTHERS}, "model_ema"),
    "a teacher": ({"state_dict": prefixed("student.") | prefixed("teacher.", OTHERS)}, "state_dict.teacher"),
    "several networks": ([WEIGHTS, OTHERS], "1"),
}
MANY = {f"fold{n}": {name: value + n for name, value in WEIGHTS.items()} for n in range(9)}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_of_several_weights_none_is_chosen_silently(tmp_path, kind):
    content, key = AMBIGUOUS[kind]
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="several sets of weights that fit, and they differ") as error:
        load_checkpoint(tmp_path / "w.pt", make_network())
    assert "'checkpoint_key'" in str(error.value)
    assert f"'{key}" in str(error.value)
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network, key)
    assert_same(network, OTHERS)


def test_of_many_weights_the_first_are_listed(tmp_path):
    torch.save(MANY, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"'fold0', 'fold1', 'fold2', 'fold3', 'fold4' and 4 more\.$"):
        load_checkpoint(tmp_path / "w.pt", make_network())


def test_an_empty_key_means_names_as_they_stand(tmp_path):
    torch.save(AMBIGUOUS["an average, and no prefix"][0], tmp_path / "w.pt")
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network, "")
    assert_same(network)


def test_an_unknown_key_names_the_nearest(tmp_path):
    torch.save({"model": WEIGHTS, "model_ema": OTHERS}, tmp_path / "w.pt")
    with pytest.raises(UnknownNameError, match=r"unknown checkpoint_key 'model_emma'\. Did you mean 'model_ema'"):
        load_checkpoint(tmp_path / "w.pt", make_network(), "model_emma")


def changed(**changes: Any) -> dict[str, Any]:
    """The weights with some of them replaced; `None` removes one, and `__` stands for a dot."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return {n: v for n, v in {**WEIGHTS, **named}.items() if v is not None}


MISFITS: dict[str, tuple[Any, str]] = {
    "missing": (changed(conv__bias=None), r"missing: conv\.bias[.;]"),
    "renamed": (
        {n.replace("head", "heads"): v for n, v in WEIGHTS.items()},
        r"missing: head\.0\.weight \(nearest: heads\.0\.weight\), .*; unexpected: heads\.0\.weight \[2, 4\], ",
    ),
    "deeper": (WEIGHTS | {"head.2.weight": torch.ones(2)}, r"7 of 9|unexpected: head\.2\.weight \[2\]"),
    "an unknown module": (WEIGHTS | {"decoder.weight": torch.ones(2)}, r"unexpected: decoder\.weight \[2\]"),
    "other classes": (
        prefixed("module.", changed(head__0__weight=torch.ones(5, 4), head__0__bias=torch.ones(5))),
        r"read under 'module'; of another shape or type: head\.0\.weight is \[5, 4\], the network has \[2, 4\], ",
    ),
    "a number for a vector": (changed(conv__bias=torch.tensor(1.0)), r"conv\.bias is \[\], the network has \[4\]"),
    "whole numbers": (changed(conv__bias=torch.ones(4).int()), r"conv\.bias is int32, the network has float32"),
    "truth values": (changed(conv__bias=torch.ones(4).bool()), r"conv\.bias is bool, the network has float32"),
    "complex": (changed(conv__bias=torch.ones(4).cfloat()), r"conv\.bias is complex64, the network has float32"),
    "sparse": (changed(conv__bias=torch.ones(4).to_sparse()), r"conv\.bias is sparse in the file"),
    "another network": (
        {"net": prefixed("module.", nn.LSTM(2, 40).state_dict()), "lr": torch.ones(1)},
        r"0 of 9 fit if the names are read under 'net\.module'; missing: conv\.weight, .* and 3 more; unexpected: "
        r"weight_ih_l0 \[160, 2\], ",
    ),
}


def test_what_does_not_fit_is_named_next_to_settings(tmp_path):
    torch.save({"model": argparse.Namespace(depth=3), "weights": changed(conv__bias=None)}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"missing: conv\.bias"):
        load_checkpoint(tmp_path / "w.pt", make_network())


@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_named(tmp_path, kind):
    content, message = MISFITS[kind]
    torch.save(content, tmp_path / "w.pt")
    network = make_network()
    with pytest.raises(ConfigError, match=message) as error:
        load_checkpoint(tmp_path / "w.pt", network)
    assert "are not those of Sequential: " in str(error.value)
    assert str(error.value).endswith("Change 'class' and 'args', or 'checkpoint', in config_models.yaml.")
    assert_same(network, make_network().state_dict())


@pytest.mark.parametrize("name", ["conv.weight", "norm.running_var"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_no_numbers_are_refused(tmp_path, name, number):
    torch.save({**WEIGHTS, name: torch.full(WEIGHTS[name].shape, number, dtype=torch.float64)}, tmp_path / "w.pt")
    network = make_network()
    with pytest.raises(ConfigError, match=rf"no finite numbers \(NaN or infinite\): {name}\. Name another file"):
        load_checkpoint(tmp_path / "w.pt", network)
    assert_same(network, make_network().state_dict())


def test_a_network_without_weights_takes_no_checkpoint(tmp_path):
    torch.save(WEIGHTS, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"Flatten has no weights.*remove 'checkpoint'"):
        load_checkpoint(tmp_path / "w.pt", nn.Flatten())
