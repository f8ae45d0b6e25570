"""One step of a network: how it is computed, and what is kept of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError
from dynvision.experiments.reducing import Reduction, store_name
from dynvision.experiments.store_layout import SCORES
from dynvision.models.loading import record_layers
from dynvision.models.reproducible import reproducible_kernels

__all__ = ["AVERAGE", "Arrays", "Emit", "NetworkStepper"]

AVERAGE = "average "
"""Prefix of the names of averages: `average V1` is the mean over the units of V1, `[B]` at one step."""

Arrays = dict[str, npt.NDArray[Any]]

Emit = Callable[[tuple[int, ...], int, Arrays], None]
"""Takes a block of responses: the conditions that share it, its first recorded step, and its arrays."""


class NetworkStepper:
    """A network on a device, with the layers that are recorded of it.

    Args:
        network: In evaluation mode. It has a method `step(x, state)`, or is applied to each frame.
        layers: The recorded layers, by the names of their modules.
        reduction: What is kept of a layer's output.
        frames: The type in which frames are shown.
        device: Where the network computes; it is moved there.
        mixed_precision: Let the network compute in the frames' type where it can (`torch.autocast`).
        stored: The type in which layers are stored; averages are those of the stored values.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        reduction: Reduction,
        *,
        frames: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        mixed_precision: bool = False,
        stored: torch.dtype = torch.float32,
    ) -> None:
        self.stored = stored
        self.device, self.frames, self.mixed_precision = torch.device(device), frames, mixed_precision
        self.network = network.to(self.device)
        self.layers, self.reduction = list(layers), reduction

    def record(
        self, keep_as: Callable[[str, Tensor], Any] | None = None
    ) -> contextlib.AbstractContextManager[dict[str, dict[str, Tensor]]]:
        """Return a context that gathers what is kept of each layer's output, by layer and variable.

        Args:
            keep_as: What is kept, given layer and output; by default the reduction.
        """
        return record_layers(self.network, self.layers, keep_as or self.reduction)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the network computes."""
        stack = contextlib.ExitStack()
        stack.enter_context(reproducible_kernels(self.device))
        if not self.mixed_precision:
            return stack
        dtype = self.frames if self.frames != torch.float32 else torch.bfloat16
        stack.enter_context(torch.autocast(self.device.type, dtype=dtype))
        return stack

    def name_arrays(self, outputs: dict[str, dict[str, Tensor]], scores: Tensor) -> dict[str, Tensor]:
        """Name what is kept of one step.

        Args:
            outputs: What `record` gathered.
            scores: The network's output, shape `[B, classes]`.

        Returns:
            float32, by name: `<layer>/<variable>`, shape `[B, …]`; `average <layer>`, the mean of the layer's first
            variable, shape `[B]`; and `scores`, shape `[B, classes]`.

        Raises:
            ConfigError: If a layer took no part in the step.
        """
        evoked: dict[str, Tensor] = {}
        for layer in self.layers:
            if layer not in outputs:
                raise ConfigError(
                    f"the layer '{layer}' is not used when {type(self.network).__name__} makes a step; record another"
                )
            name = store_name(layer)
            evoked |= {f"{name}/{variable}": value for variable, value in outputs[layer].items()}
            first = next(iter(outputs[layer].values()))
            # As it is stored, so that a response minus its resting run is not the rounding of one of them.
            evoked[AVERAGE + name] = first.to(self.stored).float().reshape(len(first), -1).mean(dim=1)
        return {**evoked, SCORES: scores.float()}
