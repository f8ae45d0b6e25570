"""The walk through the tree of a sweep: one batch of images under all conditions, each distinct history once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.loading.frames import add_scaled
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.experiments.plan import Branch
from dynvision.experiments.stepping import AVERAGE, Emit, NetworkStepper
from dynvision.models.layers import LayerOutputs
from dynvision.models.seeding import seed_torch as _seed
from dynvision.models.states import copy_state
from dynvision.stimuli.noise import sensor_noise
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["NOISE_CACHE_BYTES", "Blocks", "Walk"]

NOISE_CACHE_BYTES = 64 << 20
"""How much sensor noise of one batch is kept for the conditions that share it."""


@dataclass(frozen=True)
class Blocks:
    """How recorded steps are gathered into blocks of time.

    Attributes:
        idle: How many of the first steps are not recorded.
        n_recorded: Recorded steps of a trial.
        steps: Recorded steps of a block; the last one may be shorter.
        dtype: Of the recorded layers.
        device: Where a block is kept until it is whole.
    """

    idle: int
    n_recorded: int
    steps: int
    dtype: torch.dtype
    device: torch.device


class Walk:
    """One batch's way through the tree of a sweep.

    Args:
        stepper: The network and what is recorded of it.
        shown: The presentations of the chosen conditions, by the numbers of the conditions.
        blocks: How recorded steps are gathered.
        images: Shape `[B, C, H, W]` or `[B, K, C, H, W]`, on the stepper's device and of its type.
        ids: Which sample each image is, shape `[B]`; seeds the noise.
        emit: See `SweepRunner.stream`.
        n_conditions: Numbers from here on are references, of which only averages are handed on.

    Attributes:
        steps: How many steps of the network were computed.
    """

    def __init__(
        self,
        stepper: NetworkStepper,
        shown: Mapping[int, Presentation],
        blocks: Blocks,
        images: Tensor,
        ids: npt.NDArray[np.int64],
        emit: Emit,
        n_conditions: int,
    ) -> None:
        self.stepper, self.blocks, self.images, self.ids = stepper, blocks, images, ids
        self.conditions, self.presentations = list(shown), list(shown.values())
        self.emit, self.n_conditions, self.steps = emit, n_conditions, 0
        self.pending: list[tuple[Branch, Any, bool]] = []
        self.sequences: dict[int, StimulusSequence] = {}
        self.noise: dict[tuple[int, int], Tensor] = {}
        self.noise_bytes = 0
        self.unfinished: dict[int, dict[str, Tensor]] = {}

    def run(self, plan: Branch, outputs: LayerOutputs) -> None:
        """Walk through the tree.

        Args:
            plan: The tree. Its numbers of conditions are positions in `shown`, not in the experiment.
            outputs: Filled at each step with what is kept of each layer, see `NetworkStepper.record`.
        """
        self.pending = [(plan, None, True)]
        while self.pending:
            branch, state, is_last = self.pending.pop()
            # A network may change its state in place; the other branches of a fork must not see that.
            state = self._advance(branch, state if is_last else copy_state(state), outputs)
            if not branch.children:
                self.sequences.pop(branch.shown_by, None)
            *before, last = branch.children or (None,)
            if last is not None:
                self.pending.append((last, state, True))
                self.pending += [(child, state, False) for child in reversed(before) if child is not None]

    def _advance(self, branch: Branch, state: Any, outputs: LayerOutputs) -> Any:
        shown, stepper, idle = branch.shown_by, self.stepper, self.blocks.idle
        if shown not in self.sequences:
            self.sequences[shown] = StimulusSequence(self.images, self.presentations[shown], self.ids)
        if stepper.time_axis is not None:
            self._advance_whole(branch, outputs)
            return None
        for t in range(branch.start, branch.stop):
            # A network's own random draws are the same in every condition.
            _seed((int(self.ids[0]) << 24) + t, stepper.device)
            frame = self._render(self.sequences[shown], t)
            scores, state = stepper.step(frame, state, outputs, self.ids.tolist(), t)
            self.steps += 1
            if t >= idle:
                self._keep(branch, t - idle, stepper.name_arrays(outputs, scores))
        return state

    def _advance_whole(self, branch: Branch, outputs: LayerOutputs) -> None:
        """Show the whole trial of a branch at once; only the root of several trials has no step."""
        if branch.start == branch.stop:
            return
        sequence, stepper = self.sequences[branch.shown_by], self.stepper
        _seed(int(self.ids[0]) << 24, stepper.device)
        frames = torch.stack([self._render(sequence, t) for t in range(branch.stop)])
        for t, (scores, kept) in enumerate(stepper.show_whole(frames, outputs, self.ids.tolist())):
            self.steps += 1
            if t >= self.blocks.idle:
                self._keep(branch, t - self.blocks.idle, stepper.name_arrays(kept, scores))

    def _numbers(self, branch: Branch) -> tuple[int, ...]:
        return tuple(self.conditions[c] for c in branch.conditions)

    def _render(self, sequence: StimulusSequence, t: int) -> Tensor:
        """Return the frame at a step; sensor noise is drawn once for the conditions that share it."""
        frame, show = sequence.noiseless_frame(t), sequence.presentation
        if show.sensor_noise == 0:
            # A network may change its input in place. Frames that are void or faded are new; the sequence keeps
            # the others, so they are copied.
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

    def _keep(self, branch: Branch, step: int, evoked: dict[str, Tensor]) -> None:
        number, position = divmod(step, self.blocks.steps)
        if number not in self.unfinished:
            length = min(self.blocks.steps, self.blocks.n_recorded - number * self.blocks.steps)
            self.unfinished[number] = self._allocate(evoked, length)
        block = self.unfinished[number]
        for name, value in evoked.items():
            block[name][:, position] = value
        if position == self.blocks.steps - 1 or step == self.blocks.n_recorded - 1:
            self._hand_on(branch, number)

    def _hand_on(self, branch: Branch, number: int) -> None:
        block, start = self.unfinished.pop(number), number * self.blocks.steps
        numbers = self._numbers(branch)
        is_reference = min(numbers) >= self.n_conditions
        kept = {name: value for name, value in block.items() if not is_reference or name.startswith(AVERAGE)}
        length = next(iter(block.values())).shape[1]
        self.emit(numbers, start, {name: value.cpu().numpy() for name, value in kept.items()})
        # A later branch may start inside this block: keep a copy of the steps before that start.
        first = start + self.blocks.idle
        shared = max((b.start - first for b, _, _ in self.pending if first < b.start < first + length), default=0)
        if shared:
            self.unfinished[number] = {name: torch.empty_like(value) for name, value in block.items()}
            for name, value in self.unfinished[number].items():
                value[:, :shared] = block[name][:, :shared]

    def _allocate(self, evoked: dict[str, Tensor], length: int) -> dict[str, Tensor]:
        """Make an empty block of some steps for what was evoked at one, `[B, …]`."""
        return {
            name: torch.empty(
                (len(value), length, *value.shape[1:]),
                dtype=self.blocks.dtype if "/" in name else torch.float32,
                device=self.blocks.device,
            )
            for name, value in evoked.items()
        }
