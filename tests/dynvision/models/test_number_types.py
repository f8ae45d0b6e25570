"""Networks whose weights are of other types than float32, through the whole chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dynvision.experiments.reading import open_store
from dynvision.models.loading import step_network
from dynvision.stages.trained.files import digest_weights
from dynvision.workspace import Workspace
from dynvision.workspace.checking import check_targets
from dynvision.workspace.verifying import verify_targets
from dynvision_assets.pictures import draw_target
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, set_at, write_small_config

TYPES = (torch.bfloat16, torch.float16, torch.float64)


def test_a_digest_tells_types_and_values_apart():
    weights = {
        "w": torch.ones(2, 3),
        "n": torch.tensor(3),
        "none": torch.zeros(0),
        "b": torch.ones(2, dtype=torch.bool),
    }
    digests = [digest_weights({**weights, "w": weights["w"].to(dtype)}) for dtype in (*TYPES, torch.float32)]
    digests.append(digest_weights({**weights, "w": torch.full((2, 3), 2.0, dtype=torch.bfloat16)}))
    assert len(set(digests)) == len(digests)


def test_the_digest_of_float32_is_as_ever():
    weights = {"w": torch.arange(6.0).reshape(2, 3).t(), "n": torch.tensor(3)}
    assert digest_weights(weights) == "0b9b7ebb6451f33e571ae1026ed4b019"


@pytest.mark.parametrize("dtype", TYPES)
def test_a_frame_is_shown_in_the_type_of_the_weights(dtype):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).to(dtype)
    scores, _ = step_network(network, torch.ones(1, 3, 2, 2), None)
    assert scores.dtype == dtype


def test_a_frame_is_shown_as_it_is_where_the_weights_are_single_or_none():
    for network in (nn.Flatten(), nn.Identity()):
        scores, _ = step_network(network, torch.ones(1, 3, 2, 2).half(), None)
        assert scores.dtype == torch.float16


NETWORK = """
import torch
from torch import nn

def make(n_classes, dtype):
    layers = nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4, n_classes)).to(getattr(torch, dtype))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_small_config(tmp_path / "config")
    (tmp_path / "own_types.py").write_text(NETWORK)
    return tmp_path


@pytest.fixture
def add(root: Path):
    """Add a network in bfloat16 to the configuration of a root."""

    def write(training: dict[str, Any] | None) -> Path:
        config = root / "config"
        entry = {"class": "own_types:make", "args": {"dtype": "bfloat16"}, "training": training}
        edit_yaml(config / "config_models.yaml", set_at("models.own", entry | {"record": {"layers": ["0"]}}))
        edit_yaml(config / "config_experiments.yaml", set_at("subjects.own", {"model": "own", "dataset": "gratings"}))
        return config

    return write


def assert_whole(root: Path, config: Path) -> None:
    """Assert that the network is in bfloat16, and that it can be checked, verified and drawn."""
    weights = load_file(root / "data/models/own/gratings/all_s0/trained.safetensors")
    assert weights["0.weight"].dtype == torch.bfloat16
    workspace = Workspace.open(root, config)
    (target,) = [t for t in workspace.targets(("models", "own", "gratings")) if t.partition == "all_s0"]
    assert draw_target(workspace.stage(target), target, workspace.read_record(target))
    (finite, _) = check_targets([str(target)], root=str(root), config=str(config))
    assert finite["passed"], finite
    (verification,) = verify_targets(workspace, [target])
    assert verification.state == "whole", verification.sentence


@pytest.mark.slow
def test_a_network_in_bfloat16_goes_through_the_chain(root, add):
    config = add(None)
    build_chain(root, config, "summary/contrast/own")
    tree = open_store(root / "data/responses/contrast/own/contrast=0.5.zarr")
    assert np.isfinite(tree["0/mean"].values).all()
    assert_whole(root, config)


@pytest.mark.slow
def test_a_network_in_bfloat16_is_trained(root, add):
    config = add({"epochs": 1, "n_timesteps": 2, "loss_from": 1})
    build_chain(root, config, "models/own/gratings:all_s0")
    assert_whole(root, config)
