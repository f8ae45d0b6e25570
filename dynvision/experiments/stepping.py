"""One step of a network: how it is computed, and what is kept of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError
from dynvision.experiments.reducing import Reduction, store_name
from dynvision.experiments.stores.layout import SCORES
from dynvision.models.calling import computing_as_written, show_sequence, step_network, time_axis_of
from dynvision.models.layers import LayerOutputs, explain_unused, find_layer, record_layers
from dynvision.models.reproducible import reproducible_kernels
from dynvision.models.seeding import generator_states, seed_everything
from dynvision.models.sequences import SequenceAxes, find_axes

__all__ = ["AVERAGE", "MIXED_IMAGES", "RANDOM_DRAWS", "Arrays", "Emit", "NetworkStepper"]

AVERAGE = "average "
"""Prefix of the names of averages: `average V1` is the mean over the units of V1, `[B]` at one step."""

RANDOM_DRAWS = (
    "draws random numbers in evaluation: each image is shown by itself, and its draws follow from its place in the "
    "dataset and the step alone"
)
"""What is said, and noted in the store, of such a network."""

MIXED_IMAGES = (
    "gives an image other scores if other images are shown with it (batch statistics): each image is shown by itself"
)
"""The same of a network whose outputs depend on the batch."""

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
        mixes_images: Whether an image has another output if others are shown with it. Then, too, each is shown by
            itself.
        image_axes: The axis of the images in each layer's output; without an entry, it is found by its length.
        n_images: How many images the latest step had.
        time_axis: Where the steps are, for a network that takes a whole sequence at once; see `show_whole`.
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
        self.mixes_images = False
        self.image_axes: dict[str, int] = {}
        self.n_images = 1
        self.time_axis = time_axis_of(network)
        self._sequence_axes: dict[str, SequenceAxes] = {}
        self._calls: dict[str, list[Tensor]] = {}

    def record(
        self, keep_as: Callable[[str, Tensor], Any] | None = None
    ) -> contextlib.AbstractContextManager[LayerOutputs]:
        """Return a context that gathers what is kept of each layer's output, by layer and variable.

        Args:
            keep_as: What is kept, given layer and output; by default the reduction.
        """
        if self.time_axis is not None:
            return record_layers(self.network, self.layers, self._gather)
        keep = keep_as or self.reduction

        def keep_images_first(layer: str, output: Tensor) -> Any:
            return keep(layer, self._images_first(layer, output))

        return record_layers(self.network, self.layers, keep_images_first)

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
        if self.draws_random or self.mixes_images:
            return self._step_each(frame, state, outputs, ids, t)
        if self.draws_random is None:
            first, before = frame.clone(), generator_states(self.device)
            scores, following = self._step(frame, state, outputs)
            self.draws_random = generator_states(self.device) != before
            return self._step_each(first, state, outputs, ids, t) if self.draws_random else (scores, following)
        return self._step(frame, state, outputs)

    def show_whole(
        self,
        frames: Tensor,
        outputs: LayerOutputs,
        ids: Sequence[int],
        keep_as: Callable[[str, Tensor], dict[str, Tensor]] | None = None,
    ) -> Iterator[tuple[Tensor, LayerOutputs]]:
        """Show a whole sequence to a network that takes it at once, and go through the steps.

        A layer may return all steps at once, or be called once a step.

        Args:
            frames: Shape `[T, B, C, H, W]`.
            outputs: That of `record`.
            ids: Which sample each image is; they seed a network that draws random numbers.
            keep_as: What is kept, given layer and output at a step, `[B, …]`; by default the reduction.

        Yields:
            For each step the scores, shape `[B, classes]`, and what is kept of each layer.
        """
        if not self._sequence_axes:
            self._sequence_axes = self._find_sequence_axes(frames[0, :1], outputs)
        before = generator_states(self.device)
        is_single = self.draws_random or self.mixes_images
        scores, kept = self._show_each(frames, outputs, ids) if is_single else self._show(frames, outputs)
        if self.draws_random is None:
            self.draws_random = generator_states(self.device) != before
            if self.draws_random:
                scores, kept = self._show_each(frames, outputs, ids)
        for t in range(len(frames)):
            step = LayerOutputs()
            step.update({layer: (keep_as or self.reduction)(layer, value[t]) for layer, value in kept.items()})
            yield scores[t], step

    def _show(self, frames: Tensor, outputs: LayerOutputs) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scores of a sequence, `[T, B, classes]`, and the outputs of layers, `[T, B, …]`."""
        scores, gathered = self._show_once(frames, outputs)
        n_steps, n_images = frames.shape[:2]
        axes = self._sequence_axes
        return scores, {layer: axes[layer].by_step(value, n_steps, n_images) for layer, value in gathered.items()}

    def _show_each(self, frames: Tensor, outputs: LayerOutputs, ids: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        shown = []
        for number, sample in enumerate(ids):
            seed_everything(int(sample) << 24, self.device)
            shown.append(self._show(frames[:, number : number + 1], outputs))
        kept = {layer: torch.cat([each[layer] for _, each in shown], dim=1) for layer in shown[0][1]}
        return torch.cat([scores for scores, _ in shown], dim=1), kept

    def _show_once(self, frames: Tensor, outputs: LayerOutputs) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scores of a sequence, and what each layer returned, with its calls stacked if it has several."""
        outputs.clear()
        self._calls.clear()
        scores = show_sequence(self.network, frames.clone())
        gathered: dict[str, Tensor] = {}
        for layer in self.layers:
            calls = self._calls.get(layer)
            if calls is None:
                raise explain_unused(self.network, layer, outputs.calls[find_layer(self.network, layer).module])
            is_stacked = len(calls) > 1 if layer not in self._sequence_axes else self._sequence_axes[layer].is_stacked
            if is_stacked and (len(calls) != len(frames) or len({call.shape for call in calls}) > 1):
                raise ConfigError(
                    f"the layer '{layer}' is called {len(calls)} times for {len(frames)} steps, so that it has no one "
                    "response at a step; record another"
                )
            gathered[layer] = torch.stack(calls) if is_stacked else calls[0]
        return scores, gathered

    def _gather(self, layer: str, output: Tensor) -> Tensor:
        self._calls.setdefault(layer, []).append(output.clone())
        return output

    def _find_sequence_axes(self, frame: Tensor, outputs: LayerOutputs) -> dict[str, SequenceAxes]:
        shapes: dict[tuple[int, int], dict[str, tuple[int, ...]]] = {}
        stacked: set[str] = set()
        for steps, images in ((4, 2), (4, 3), (5, 2)):
            frames = torch.zeros(steps, images, *frame.shape[1:], dtype=frame.dtype, device=frame.device)
            _, gathered = self._show_once(frames, outputs)
            shapes[steps, images] = {layer: tuple(value.shape) for layer, value in gathered.items()}
            stacked |= {layer for layer, calls in self._calls.items() if len(calls) > 1}
        axes = find_axes(shapes, self.time_axis or 0)
        return {layer: replace(found, is_stacked=layer in stacked) for layer, found in axes.items()}

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

    def remarks(self) -> dict[str, str]:
        """Return what has to be said about the network, by the name of an attribute of the stores."""
        known = {"random_draws": (self.draws_random, RANDOM_DRAWS), "mixed_images": (self.mixes_images, MIXED_IMAGES)}
        return {name: text for name, (is_so, text) in known.items() if is_so}

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
