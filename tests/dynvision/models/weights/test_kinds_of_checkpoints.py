"""Kinds of files in which networks are passed on: those that are read, and those that are refused in one sentence."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from dynvision.models.checkpoint import load_checkpoint
from tests.helpers.checkpoints import (
    READ,
    WEIGHTS,
    assert_same,
    cast,
    make_network,
)


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("is_zip", [True, False], ids=["new", "old"])
def test_weights_are_found_wherever_they_are_in_a_file(tmp_path, kind, is_zip):
    torch.save(READ[kind], tmp_path / "w.pt", _use_new_zipfile_serialization=is_zip)
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network)
    assert_same(network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("own", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_become_those_of_the_network(tmp_path, dtype, own):
    save_file(cast(dtype), tmp_path / "w.safetensors")
    network = make_network().to(own)
    load_checkpoint(tmp_path / "w.safetensors", network)
    assert_same(network, cast(dtype))
    assert network.conv.weight.dtype == own


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("pytorch_model.bin", save_file),
        ("w.pt", save_file),
        ("w", save_file),
        ("w.safetensors", torch.save),
        ("w.safetensors.pth.tar", torch.save),
    ],
)
def test_a_format_is_found_by_content(tmp_path, name, save):
    save(dict(WEIGHTS), tmp_path / name)
    network = make_network()
    load_checkpoint(tmp_path / name, network)
    assert_same(network)
