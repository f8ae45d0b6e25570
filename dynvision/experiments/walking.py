"""The walk through the tree of a sweep: one batch of images under all conditions, each distinct history once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.loading.frames import add_scaled
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.experiments.plan import Branch
from dynvision.models.loading import step_network
from dynvision.stimuli.noise import sensor_noise
from dynvision.stimuli.segments import VOID

if TYPE_CHECKING:
    from dynvision.experiments.showing import Emit, Rest, SweepRunner

__all__ = ["AVERAGE", "NOISE_CACHE_BYTES", "Walk"]

AVERAGE = "average "
"""Before a layer's name: its mean over units, `[B, T]`, which is handed on with what is recorded."""

NOISE_CACHE_BYTES = 64 << 20
"""How much sensor noise of one batch is kept for the conditions that share it."""


class Walk:
    """One batch's way through the tree of a sweep; see `SweepRunner.stream` for the arguments.

    Attributes:
        steps: How many steps of the network were computed.
    """

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

    def run(self, plan: Branch, outputs: dict[str, dict[str, Tensor]]) -> None:
        """Walk through the tree; `outputs` is where layers leave what is kept of them, see `SweepRunner.record`."""
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
            length = min(runner.block_steps, runner.n_recorded - number * runner.block_steps)
            self.blocks[number] = self._allocate(evoked, length)
        block = self.blocks[number]
        for name, value in evoked.items():
            block[name][:, place] = value
        if place == runner.block_steps - 1 or step == runner.n_recorded - 1:
            self._hand_on(branch, number)

    def _hand_on(self, branch: Branch, number: int) -> None:
        block, start = self.blocks.pop(number), number * self.runner.block_steps
        arrays = {name: value.cpu().numpy() for name, value in block.items()}
        length = next(iter(arrays.values())).shape[1]
        self.emit(tuple(self.conditions[c] for c in branch.conditions), start, arrays)
        # A branch that has yet to be computed may go on from the middle of this block, with a copy of what is before.
        first = start + self.runner.idle
        shared = max((b.start - first for b, _, _ in self.pending if first < b.start < first + length), default=0)
        if shared:
            self.blocks[number] = {name: torch.empty_like(value) for name, value in block.items()}
            for name, value in self.blocks[number].items():
                value[:, :shared] = block[name][:, :shared]

    def _allocate(self, evoked: dict[str, Tensor], length: int) -> dict[str, Tensor]:
        """An empty block of some steps for what was evoked at one, `[B, …]`."""
        runner = self.runner
        device = runner.device if runner.keep_on_device else torch.device("cpu")
        return {
            name: torch.empty(
                (len(value), length, *value.shape[1:]),
                dtype=runner.dtype if "/" in name else torch.float32,
                device=device,
            )
            for name, value in evoked.items()
        }


def _seed(number: int, device: torch.device) -> None:
    """Seed the generators that a network draws from.

    `torch.manual_seed` also notes a traceback for accelerators that were never used, at every call: that takes longer
    than a small layer, and the notes stay.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(number)
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
