"""Showing a sweep to a network: every batch under all conditions, each distinct history once."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dynvision.data.noise import sensor_noise
from dynvision.data.presentation import Presentation, StimulusSequence, add_scaled
from dynvision.data.schedule import VOID
from dynvision.errors import ConfigError
from dynvision.experiments.plan import Branch, plan_sweep
from dynvision.experiments.reducing import Reduction, store_name
from dynvision.experiments.store import SCORES
from dynvision.models.loading import record_layers, step_network

__all__ = ["AVERAGE", "SCORES", "BatchResponses", "SweepRunner"]

AVERAGE = "average "
"""Before a layer's name: its mean over units, `[B, T]`, which is handed on with what is recorded."""

NOISE_CACHE_BYTES = 64 << 20
"""How much sensor noise of one batch is kept for the conditions that share it."""

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
                conditions that share them, `[B, steps, …]` by `layer/variable` and `scores`. The arrays are used again
                after the call.
            conditions: Only these, by their place; by default all.
            rest: Called as `rest(conditions, averages)` with each layer's mean over units at the last idle step, `[B]`.

        Returns:
            How many steps of the network were computed.
        """
        chosen = range(len(self.presentations)) if conditions is None else conditions
        plan = self.plan if conditions is None else plan_sweep([self.presentations[c] for c in chosen])
        images = images.to(self.device, self.frames)
        walk = _Walk(self, list(chosen), images, ids, emit, rest)
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


class _Walk:
    """One batch's way through the tree of a sweep."""

    def __init__(
        self,
        runner: SweepRunner,
        conditions: list[int],
        images: Tensor,
        ids: npt.NDArray[np.int64],
        emit: Emit,
        rest: Rest | None,
    ) -> None:
        self.runner, self.conditions, self.images, self.ids = runner, conditions, images, ids
        self.emit, self.rest, self.steps = emit, rest, 0
        self.pending: list[tuple[Branch, Any, bool]] = []
        self.sequences: dict[int, StimulusSequence] = {}
        self.noise: dict[tuple[int, int], Tensor] = {}
        self.noise_bytes = 0
        self.blocks: dict[int, dict[str, Tensor]] = {}
        self.spare: list[dict[str, Tensor]] = []

    def run(self, plan: Branch, outputs: dict[str, dict[str, Tensor]]) -> None:
        self.pending = [(plan, None, True)]
        while self.pending:
            branch, state, is_last = self.pending.pop()
            # A network may change its state in place; the branches that fork from it must not see that.
            state = self._advance(branch, state if is_last else _copy_state(state), outputs)
            if not branch.children:
                self.sequences.pop(branch.shown_by, None)
            *before, last = branch.children or (None,)
            if last is not None:
                self.pending.append((last, state, True))
                self.pending += [(child, state, False) for child in reversed(before) if child is not None]

    def _advance(self, branch: Branch, state: Any, outputs: dict[str, dict[str, Tensor]]) -> Any:
        shown, runner = branch.shown_by, self.runner
        if shown not in self.sequences:
            presentation = runner.presentations[self.conditions[shown]]
            self.sequences[shown] = StimulusSequence(self.images, presentation, self.ids)
        for t in range(branch.start, branch.stop):
            outputs.clear()
            # A network with noise of its own draws the same for the same trials at the same step.
            _seed((int(self.ids[0]) << 24) + t, runner.device)
            scores, state = step_network(runner.network, self._render(self.sequences[shown], t), state)
            self.steps += 1
            if t >= runner.idle:
                self._keep(branch, t - runner.idle, outputs, scores)
            elif t == runner.idle - 1 and self.rest is not None:
                resting = {n: v for n, v in runner.name_arrays(outputs, scores).items() if n.startswith(AVERAGE)}
                arrays = {name.removeprefix(AVERAGE): value.cpu().numpy() for name, value in resting.items()}
                self.rest(tuple(self.conditions[c] for c in branch.conditions), arrays)
        return state

    def _render(self, sequence: StimulusSequence, t: int) -> Tensor:
        """The frame at a step; sensor noise is drawn once for the conditions that share it."""
        frame, show = sequence.noiseless_frame(t), sequence.presentation
        if show.sensor_noise == 0:
            # A network may work in place; void and faded frames are made anew, others are images or noise that is kept.
            is_new = show.frames[t] == VOID or show.contrasts[t] != 1
            return frame if is_new else frame.clone()
        key = (show.noise_seed, t)
        noise = self.noise.get(key)
        if noise is None:
            drawn = sensor_noise(self.ids, t, tuple(frame.shape[1:]), show.noise_seed)
            noise = torch.from_numpy(drawn).to(frame.device)
            if self.noise_bytes + noise.nbytes <= NOISE_CACHE_BYTES:
                self.noise[key] = noise
                self.noise_bytes += noise.nbytes
        return add_scaled(frame, noise, show.sensor_noise)

    def _keep(self, branch: Branch, step: int, outputs: dict[str, dict[str, Tensor]], scores: Tensor) -> None:
        runner = self.runner
        number, place = divmod(step, runner.block_steps)
        evoked = runner.name_arrays(outputs, scores)
        if number not in self.blocks:
            self.blocks[number] = self.spare.pop() if self.spare else self._allocate(evoked)
        block = self.blocks[number]
        for name, value in evoked.items():
            block[name][:, place] = value
        if place == runner.block_steps - 1 or step == runner.n_recorded - 1:
            self._hand_on(branch, number, place + 1)

    def _hand_on(self, branch: Branch, number: int, length: int) -> None:
        start = number * self.runner.block_steps
        arrays = {name: value[:, :length].cpu().numpy() for name, value in self.blocks[number].items()}
        self.emit(tuple(self.conditions[c] for c in branch.conditions), start, arrays)
        # A branch that has yet to be computed may go on from the middle of this block.
        first, end = start + self.runner.idle, start + self.runner.idle + length
        if not any(first < other.start < end for other, _, _ in self.pending):
            self.spare.append(self.blocks.pop(number))

    def _allocate(self, evoked: dict[str, Tensor]) -> dict[str, Tensor]:
        runner = self.runner
        device = runner.device if runner.keep_on_device else torch.device("cpu")
        return {
            name: torch.empty(
                (len(value), runner.block_steps, *value.shape[1:]),
                dtype=runner.dtype if "/" in name else torch.float32,
                device=device,
            )
            for name, value in evoked.items()
        }


def _seed(number: int, device: torch.device) -> None:
    """Seed the generators that a network draws from. `torch.manual_seed` also notes a traceback for accelerators that
    were never used, at every call: it takes longer than a small layer, and the notes stay."""
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


def _copy_state(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: _copy_state(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        copied = [_copy_state(value) for value in state]
        return type(state)(*copied) if hasattr(state, "_fields") else type(state)(copied)
    return copy.deepcopy(state)
