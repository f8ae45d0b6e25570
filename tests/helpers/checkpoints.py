"""A small network, its weights, and the classes that authors save next to weights."""

from __future__ import annotations

import argparse
import collections
import copy
import enum
import types
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(
        collections.OrderedDict(
            conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), flat=nn.Flatten(), head=nn.Sequential(nn.Linear(4, 2))
        )
    )
    network.norm.running_mean.uniform_()
    return network


TRAINED = make_network(seed=1)
WEIGHTS = TRAINED.state_dict()


def prefixed(prefix: str, weights: dict[str, Any] = WEIGHTS) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def cast(dtype: torch.dtype) -> dict[str, Any]:
    return {n: value.to(dtype) if value.is_floating_point() else value for n, value in WEIGHTS.items()}


def averaged() -> dict[str, Any]:
    return AveragedModel(TRAINED).state_dict()


OTHERS = {n: value + 1 for n, value in WEIGHTS.items()}
OPTIMIZER = torch.optim.AdamW(TRAINED.parameters()).state_dict()


class Mood(enum.Enum):
    """A class that only the file's author has."""

    GOOD = 1


class Settings(dict):
    """A mapping that only the file's author has, as Lightning's `AttributeDict`."""


class Values(list):
    """A list that only the file's author has."""


class StateDict(collections.OrderedDict):
    """A state dict that only the file's author has."""


READ: dict[str, Any] = {
    "plain": WEIGHTS,
    "ordered": collections.OrderedDict(WEIGHTS),
    "parameters": dict(TRAINED.named_parameters()) | dict(TRAINED.named_buffers()),
    "module.": prefixed("module."),
    "model.": prefixed("model."),
    "_orig_mod.": prefixed("_orig_mod."),
    "_orig_mod.module.": prefixed("_orig_mod.module."),
    "module._orig_mod.": prefixed("module._orig_mod."),
    "model._orig_mod.": prefixed("model._orig_mod."),
    "model.model.": prefixed("model.model."),
    "module.module.": prefixed("module.module."),
    "net.encoder.": prefixed("net.encoder."),
    "a compiled part": {n.replace("conv.", "conv._orig_mod."): value for n, value in WEIGHTS.items()},
    "a parallel part": {n.replace("head.", "head.module."): value for n, value in WEIGHTS.items()},
    "fully sharded": {n.replace("conv.", "conv._fsdp_wrapped_module."): v for n, v in WEIGHTS.items()},
    "averaged": averaged(),
    "averaged under a key": {"model_averaged": averaged(), "epoch": 7},
    "state_dict": {"state_dict": WEIGHTS},
    "model_state_dict": {"model_state_dict": WEIGHTS, "optimizer_state_dict": OPTIMIZER, "loss": torch.tensor(0.3)},
    "model": {"model": WEIGHTS, "optimizer": OPTIMIZER, "epoch": 3, "best": torch.tensor(0.9)},
    "weights": {"weights": prefixed("module."), "classes": ["cat", "dog"]},
    "an unusual key": {"what_i_trained": WEIGHTS},
    "three keys deep": {"checkpoint": {"nets": {"student": prefixed("module.")}}},
    "a pair": (WEIGHTS, 12),
    "lightning": {
        "state_dict": prefixed("model.") | {"criterion.weight": torch.ones(2), "val_acc.total": torch.tensor(3)},
        "hyper_parameters": Settings(lr=0.1, mood=Mood.GOOD),
        "optimizer_states": [OPTIMIZER],
        "pytorch-lightning_version": "2.1.0",
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
    },
    "a criterion beside": prefixed("net.") | {"criterion.weight": torch.ones(2)},
    "a criterion beside, without a prefix": WEIGHTS | {"criterion.weight": torch.ones(2)},
    "an average of another network beside": prefixed("model.") | {"ema_model.conv.weight": torch.ones(1, 3, 3, 3)},
    "the same twice": {"model": WEIGHTS, "ema": copy.deepcopy(WEIGHTS)},
    "a step counter beside": WEIGHTS | {"n_averaged": torch.tensor(3)},
    "another network beside": prefixed("student.") | {"teacher.conv.weight": torch.ones(9, 3, 5, 5)},
    "without the counters of batches": {n: v for n, v in WEIGHTS.items() if "num_batches" not in n},
    "with more counters": WEIGHTS | {"head.0.num_batches_tracked": torch.tensor(1), "conv.total_ops": torch.zeros(1)},
    "parts under keys": {
        part: {n.removeprefix(f"{part}."): v for n, v in WEIGHTS.items() if n.startswith(part)}
        for part in ("conv", "norm", "head")
    },
    "settings of argparse": {"net": WEIGHTS, "args": argparse.Namespace(lr=0.1, folder=PurePosixPath("/data"))},
    "numbers of numpy": {"net": WEIGHTS, "accuracy": np.float64(0.9), "epochs": np.int64(3), "curve": np.arange(3.0)},
    "the author's own classes": {
        "net": StateDict(WEIGHTS),
        "settings": Settings(values=Values([1, 2]), mood=Mood.GOOD, more=types.SimpleNamespace(x=1)),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "when": torch.__version__,
    },
}
"""What `torch.save` was given. Each holds the same weights once."""


def assert_same(network: nn.Module, expected: dict[str, Any] = WEIGHTS) -> None:
    for name, value in network.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, expected[name].to(value.dtype)), name
