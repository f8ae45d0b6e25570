"""Showing a sweep to a network: every batch under all conditions, each distinct history once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError
from dynvision.experiments.plan import plan_sweep
from dynvision.experiments.reducing import Reduction, store_name
from dynvision.experiments.store import SCORES
from dynvision.experiments.walking import AVERAGE, Walk
from dynvision.models.loading import record_layers
from dynvision.stimuli.presentation import Presentation

__all__ = ["SCORES", "BatchResponses", "SweepRunner"]

Arrays = dict[str, npt.NDArray[Any]]
Emit = Callable[[tuple[int, ...], int, Arrays], None]
Rest = Callable[[tuple[int, ...], Arrays], None]


@dataclass
class BatchResponses:
    """What a batch of images evoked in every condition.

    Attributes:
        layers: For each layer its variables (see `Reduction`), each of shape `[conditions, B, T, …]`.
        scores: The network's output, shape `[conditions, B, T, classes]`, float32.
    """

    layers: dict[str, Arrays]
    scores: npt.NDArray[np.float32]


class SweepRunner:
    """Shows batches of images under all conditions of a sweep.

    Presentations that begin alike are computed once (see `plan_sweep`): their tree is walked depth first, and at
    each fork the network's state is kept until every branch has gone on from it. Each step of the tree is a call of
    its own with the same images, so that a condition's responses are the same numbers, to the bit, whatever other
    conditions are shown along with it. Responses are handed on in blocks of time, so that neither their number of steps
    nor that of conditions is held in memory.

    Args:
        network: In evaluation mode; steps through time, or is applied to each frame.
        presentations: One for each condition, idle steps included.
        layers: Which layers are recorded.
        resolution: What is kept of them: a `Reduction`, or the name of its resolution.
        idle: How many of the first steps are not recorded.
        block_steps: Recorded steps a block; by default all of them.
        dtype: Of the recorded layers, `float32` or `float16`.
        frames: The type in which frames are shown.
        device: Where the network computes.
        mixed_precision: Let the network compute in the frames' type where it can (`torch.autocast`).
        keep_on_device: Hold a block's responses on the device until it is whole, instead of fetching every step.
    """

    def __init__(
        self,
        network: nn.Module,
        presentations: Sequence[Presentation],
        layers: Sequence[str],
        resolution: str | Reduction,
        idle: int = 0,
        *,
        block_steps: int | None = None,
        dtype: str = "float32",
        frames: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        mixed_precision: bool = False,
        keep_on_device: bool = False,
    ) -> None:
        self.device, self.frames, self.mixed_precision = torch.device(device), frames, mixed_precision
        self.network = network.to(self.device)
        self.presentations, self.layers, self.idle = list(presentations), list(layers), idle
        self.reduce = Reduction(resolution) if isinstance(resolution, str) else resolution
        self.plan = plan_sweep(self.presentations)
        self.n_recorded = self.presentations[0].n_timesteps - idle
        if self.n_recorded < 1:
            raise ValueError("the idle steps leave nothing to record")
        self.block_steps = min(block_steps or self.n_recorded, self.n_recorded)
        self.dtype = torch.float16 if dtype == "float16" else torch.float32
        self.keep_on_device = keep_on_device

    @property
    def steps_computed(self) -> int:
        """How many steps of the network a trial takes for all conditions together."""
        return self.plan.n_steps

    @property
    def steps_naive(self) -> int:
        """How many it would take to show each condition by itself."""
        return self.presentations[0].n_timesteps * len(self.presentations)

    def stream(
        self,
        images: Tensor,
        ids: npt.NDArray[np.int64],
        emit: Emit,
        conditions: Sequence[int] | None = None,
        rest: Rest | None = None,
    ) -> int:
        """Show a batch of images and hand on the responses, block after block.

        Args:
            images: Shape `[B, C, H, W]`, or `[B, K, C, H, W]` for several images a trial.
            ids: Which sample each is, shape `[B]`; seeds the noise.
            emit: Called as `emit(conditions, start, arrays)` with the recorded steps from `start` on of the
                conditions that share them, `[B, steps, …]` by `layer/variable` and `scores`. The arrays are the
                receiver's: they are not changed after the call.
            conditions: Only these, by their place; by default all.
            rest: Called as `rest(conditions, averages)` with each layer's mean over units at the last idle step, `[B]`.

        Returns:
            How many steps of the network were computed.
        """
        chosen = range(len(self.presentations)) if conditions is None else conditions
        plan = self.plan if conditions is None else plan_sweep([self.presentations[c] for c in chosen])
        images = images.to(self.device, self.frames)
        walk = Walk(self, list(chosen), images, ids, emit, rest)
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices=devices),
            self.record() as outputs,
            self.precision(),
        ):
            walk.run(plan, outputs)
        return walk.steps

    def show(self, images: Tensor, ids: npt.NDArray[np.int64]) -> BatchResponses:
        """Show a batch of images and gather everything; for a few images, as it is held at once."""
        gathered: Arrays = {}

        def keep(conditions: tuple[int, ...], start: int, arrays: Arrays) -> None:
            for name, block in arrays.items():
                if name not in gathered:
                    shape = (len(self.presentations), len(block), self.n_recorded, *block.shape[2:])
                    gathered[name] = np.empty(shape, dtype=block.dtype)
                gathered[name][list(conditions), :, start : start + block.shape[1]] = block

        self.stream(images, ids, keep)
        layers: dict[str, Arrays] = {}
        for name in (n for n in gathered if "/" in n):
            layer, _, variable = name.rpartition("/")
            layers.setdefault(layer, {})[variable] = gathered[name]
        return BatchResponses(layers, gathered[SCORES])

    def record(self) -> contextlib.AbstractContextManager[dict[str, dict[str, Tensor]]]:
        """The context in which what is kept of each layer's output is gathered, by layer and variable."""
        return record_layers(self.network, self.layers, self.reduce)

    def name_arrays(self, outputs: dict[str, dict[str, Tensor]], scores: Tensor) -> dict[str, Tensor]:
        """What is kept of one step, float32: `layer/variable`, each layer's average, and the scores.

        Raises:
            ConfigError: A layer took no part in the step.
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
            evoked[AVERAGE + name] = first.reshape(len(first), -1).mean(dim=1)
        return {**evoked, SCORES: scores.float()}

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network computes."""
        stack = contextlib.ExitStack()
        if self.device.type == "cuda":
            # The same numbers at every run, and in the precision of the weights.
            stack.enter_context(
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            )
        if not self.mixed_precision:
            return stack
        kind = self.frames if self.frames != torch.float32 else torch.bfloat16
        stack.enter_context(torch.autocast(self.device.type, dtype=kind))
        return stack
