"""Showing one batch of images and gathering everything that it evoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from dynvision.experiments.reducing import Reduction
from dynvision.experiments.showing import SweepRunner
from dynvision.experiments.stepping import Arrays, NetworkStepper
from dynvision.stimuli.presentation import Presentation


@dataclass
class BatchResponses:
    """What a batch of images evoked in every condition.

    Attributes:
        layers: For each layer its variables (see `Reduction`), each of shape `[conditions, B, T, …]`.
        scores: The network's output, shape `[conditions, B, T, classes]`, float32.
    """

    layers: dict[str, Arrays]
    scores: npt.NDArray[np.float32]


def make_runner(
    network: nn.Module,
    presentations: Sequence[Presentation],
    layers: Sequence[str],
    resolution: str,
    idle: int = 0,
    *,
    block_steps: int | None = None,
    **stepping: Any,
) -> SweepRunner:
    """A runner over a network; `stepping` are settings of its `NetworkStepper`."""
    stepper = NetworkStepper(network, layers, Reduction(resolution), **stepping)
    return SweepRunner(stepper, presentations, idle, block_steps=block_steps)


def show_batch(runner: SweepRunner, images: Tensor, ids: npt.NDArray[np.int64]) -> BatchResponses:
    """Show a batch of images and gather everything."""
    gathered: Arrays = {}

    def keep(conditions: tuple[int, ...], start: int, arrays: Arrays) -> None:
        for name, block in arrays.items():
            if name not in gathered:
                shape = (len(runner.presentations), len(block), runner.blocks.n_recorded, *block.shape[2:])
                gathered[name] = np.empty(shape, dtype=block.dtype)
            gathered[name][list(conditions), :, start : start + block.shape[1]] = block

    runner.stream(images, ids, keep)
    layers: dict[str, Arrays] = {}
    for name in (n for n in gathered if "/" in n):
        layer, _, variable = name.rpartition("/")
        layers.setdefault(layer, {})[variable] = gathered[name]
    return BatchResponses(layers, gathered["scores"])
