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
from dynvision.models.calling import computing_as_written, step_network
from dynvision.models.layers import LayerOutputs, explain_unused, find_layer, record_layers
from dynvision.models.reproducible import reproducible_kernels
from dynvision.models.seeding import generator_states, seed_everything

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

    Attributes:
        draws_random: Whether the network draws random numbers in evaluation. Then each image is computed by itself,
            with a seed of its own, so that its responses do not depend on the batch. `None` is found out at the first
            step.
        image_axes: The axis of the images in each layer's output; without an entry, it is found by its length.
        n_images: How many images the latest step had.
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
        self.draws_random: bool | None = None
        self.image_axes: dict[str, int] = {}
        self.n_images = 1

    def record(
        self, keep_as: Callable[[str, Tensor], Any] | None = None
    ) -> contextlib.AbstractContextManager[LayerOutputs]:
        """Return a context that gathers what is kept of each layer's output, by layer and variable.

        Args:
            keep_as: What is kept, given layer and output; by default the reduction.
        """
        keep = keep_as or self.reduction
        return record_layers(
            self.network, self.layers, lambda name, output: keep(name, self._images_first(name, output))
        )

    def step(self, frame: Tensor, state: Any, outputs: LayerOutputs, ids: Sequence[int], t: int) -> tuple[Tensor, Any]:
        """Advance the network by one step.

        Args:
            frame: Shape `[B, C, H, W]`; the network may change it.
            state: What the step before returned; `None` at the first step.
            outputs: Filled with what is kept of each layer.
            ids: Which sample each image is; with `t` it seeds a network that draws random numbers.
            t: The step.

        Returns:
            The scores, shape `[B, classes]`, and the state.
        """
        if self.draws_random:
            return self._step_each(frame, state, outputs, ids, t)
        if self.draws_random is None:
            first, before = frame.clone(), generator_states(self.device)
            scores, following = self._step(frame, state, outputs)
            self.draws_random = generator_states(self.device) != before
            return self._step_each(first, state, outputs, ids, t) if self.draws_random else (scores, following)
        return self._step(frame, state, outputs)

    def _step(self, frame: Tensor, state: Any, outputs: LayerOutputs) -> tuple[Tensor, Any]:
        outputs.clear()
        self.n_images = len(frame)
        return step_network(self.network, frame, state)

    def _step_each(
        self, frame: Tensor, states: Any, outputs: LayerOutputs, ids: Sequence[int], t: int
    ) -> tuple[Tensor, list[Any]]:
        """Advance the network for each image by itself; the state is a list of their states."""
        scores, following, kept = [], [], []
        for number, sample in enumerate(ids):
            seed_everything((int(sample) << 24) + t, self.device)
            state = None if states is None else states[number]
            score, state = self._step(frame[number : number + 1], state, outputs)
            scores.append(score)
            following.append(state)
            kept.append(dict(outputs))
        for layer in kept[0]:
            outputs[layer] = {name: torch.cat([each[layer][name] for each in kept]) for name in kept[0][layer]}
        return torch.cat(scores), following

    def _images_first(self, layer: str, output: Tensor) -> Tensor:
        axis = self.image_axes.get(layer)
        if axis is None and output.dim() and len(output) != self.n_images:
            axes = [number for number, length in enumerate(output.shape) if length == self.n_images]
            axis = axes[0] if len(axes) == 1 else None
        if axis is None:
            axis = 0
        if output.dim() <= axis or output.shape[axis] != self.n_images:
            raise ConfigError(
                f"the layer '{layer}' gives an output of shape {list(output.shape)} for {self.n_images} images, which "
                "has no axis of the images; record another"
            )
        return output.movedim(axis, 0)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the network computes."""
        stack = contextlib.ExitStack()
        stack.enter_context(reproducible_kernels(self.device))
        stack.enter_context(computing_as_written())
        if not self.mixed_precision:
            return stack
        dtype = self.frames if self.frames != torch.float32 else torch.bfloat16
        stack.enter_context(torch.autocast(self.device.type, dtype=dtype))
        return stack

    def name_arrays(self, outputs: LayerOutputs, scores: Tensor) -> dict[str, Tensor]:
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
                raise explain_unused(self.network, layer, outputs.calls[find_layer(self.network, layer).module])
            name = store_name(layer)
            evoked |= {f"{name}/{variable}": value for variable, value in outputs[layer].items()}
            first = next(iter(outputs[layer].values()))
            # As it is stored, so that a response minus its resting run is not the rounding of one of them.
            evoked[AVERAGE + name] = first.to(self.stored).float().reshape(len(first), -1).mean(dim=1)
        return {**evoked, SCORES: scores.float()}
