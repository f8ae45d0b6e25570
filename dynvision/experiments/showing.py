"""Showing a sweep to a network: every batch under all conditions, each distinct history once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.experiments.plan import Branch, plan_sweep, plan_whole
from dynvision.experiments.stepping import Emit, NetworkStepper
from dynvision.experiments.walking import Blocks, Walk
from dynvision.models.seeding import kept_generators
from dynvision.stimuli.presentation import Presentation

__all__ = ["SweepRunner", "count_trials"]


class SweepRunner:
    """Shows batches of images under all conditions of a sweep.

    What presentations share at their start is computed once (see `plan_sweep`): their tree is walked depth first, and
    at each fork the network's state is kept until every branch has started from it. Each step of the tree is a call of
    its own with the same images. So a condition's responses are the same numbers, to the bit, whatever other
    conditions are shown along with it. Responses are handed on in blocks of time, so that memory grows neither with
    the number of steps nor with that of conditions.

    Args:
        stepper: The network and what is recorded of it.
        presentations: One for each condition, idle steps included.
        idle: How many of the first steps are not recorded.
        references: Runs that conditions are compared with, idle steps included. They are numbered after the conditions,
            and only the averages of their layers are handed on.
        block_steps: Recorded steps per block; by default all of them.
        dtype: Of the recorded layers, `float32` or `float16`.
        keep_on_device: Keep a block's responses on the device until it is whole, instead of fetching every step.

    Raises:
        ValueError: If the idle steps leave nothing to record, or the presentations differ in length.
    """

    def __init__(
        self,
        stepper: NetworkStepper,
        presentations: Sequence[Presentation],
        idle: int = 0,
        references: Sequence[Presentation] = (),
        *,
        block_steps: int | None = None,
        dtype: str = "float32",
        keep_on_device: bool = False,
    ) -> None:
        self.stepper, self.presentations = stepper, [*presentations, *references]
        self.n_conditions = len(presentations)
        self.plan = self._plan(self.presentations)
        n_recorded = self.presentations[0].n_timesteps - idle
        if n_recorded < 1:
            raise ValueError("the idle steps leave nothing to record")
        self.blocks = Blocks(
            idle=idle,
            n_recorded=n_recorded,
            steps=min(block_steps or n_recorded, n_recorded),
            dtype=torch.float16 if dtype == "float16" else torch.float32,
            device=stepper.device if keep_on_device else torch.device("cpu"),
        )

    def _plan(self, presentations: Sequence[Presentation]) -> Branch:
        sweep = plan_sweep(presentations)  # which checks their lengths
        return sweep if self.stepper.time_axis is None else plan_whole(presentations)

    @property
    def steps_computed(self) -> int:
        """How many steps of the network a trial takes for all conditions together."""
        return self.plan.n_steps

    @property
    def steps_naive(self) -> int:
        """How many steps it would take to show each condition and reference by itself."""
        return self.presentations[0].n_timesteps * len(self.presentations)

    def stream(
        self,
        images: Tensor,
        ids: npt.NDArray[np.int64],
        emit: Emit,
        conditions: Sequence[int] | None = None,
    ) -> int:
        """Show a batch of images and hand on the responses, block after block.

        Args:
            images: Shape `[B, C, H, W]`, or `[B, K, C, H, W]` for several images a trial.
            ids: Which sample each is, shape `[B]`; seeds the noise.
            emit: Called as `emit(conditions, start, arrays)` with the recorded steps from `start` on of the
                conditions that share them, `[B, steps, …]` by `layer/variable` and `scores`. The arrays belong to the
                receiver: they are not changed after the call.
            conditions: Show only these conditions and references, by their numbers; by default all.

        Returns:
            How many steps of the network were computed.
        """
        chosen = range(len(self.presentations)) if conditions is None else conditions
        shown = {number: self.presentations[number] for number in chosen}
        plan = self.plan if conditions is None else self._plan(list(shown.values()))
        stepper = self.stepper
        walk = Walk(
            stepper, shown, self.blocks, images.to(stepper.device, stepper.frames), ids, emit, self.n_conditions
        )
        with (
            torch.inference_mode(),
            kept_generators(stepper.device),
            stepper.record() as outputs,
            stepper.precision(),
        ):
            walk.run(plan, outputs)
        return walk.steps


def count_trials(
    take: Emit, count: Callable[[int], object], n_images: int, n_timesteps: int, n_conditions: int
) -> Emit:
    """Wrap the receiver of a batch's blocks, so that trials are counted as conditions come to their ends.

    A sweep shows a batch to one condition after the other, so this moves while the batch is shown. What conditions
    share at their start is computed before any of them ends; so the first trials take longer than the others.

    Args:
        take: Takes a block; see `SweepRunner.stream`.
        count: Called with how many more trials have been shown to their ends.
        n_images: Trials of the batch, for each condition.
        n_timesteps: Recorded steps of a trial.
        n_conditions: Numbers from here on are references, which are no trials.
    """

    def take_and_count(conditions: tuple[int, ...], start: int, arrays: Any) -> None:
        take(conditions, start, arrays)
        length = next((value.shape[1] for value in arrays.values()), 0)
        if start + length == n_timesteps:
            count(n_images * sum(number < n_conditions for number in conditions))

    return take_and_count
