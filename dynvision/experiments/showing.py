"""Showing a sweep to a network: every batch under all conditions, each distinct history once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dynvision.data.noise import sensor_noise
from dynvision.data.presentation import Presentation, StimulusSequence, add_scaled
from dynvision.experiments.plan import plan_sweep
from dynvision.models.loading import record_layers, step_network

__all__ = ["BatchResponses", "SweepRunner"]


@dataclass
class BatchResponses:
    """What a batch of images evoked in every condition.

    Attributes:
        layers: For each layer its variables: `mean` and `std` over space, or `response`; each of shape
            `[conditions, B, T, …]`, float32.
        scores: The network's output, shape `[conditions, B, T, classes]`, float32.
    """

    layers: dict[str, dict[str, npt.NDArray[np.float32]]]
    scores: npt.NDArray[np.float32]


class SweepRunner:
    """Shows batches of images under all conditions of a sweep.

    Presentations that begin alike are computed once (see `plan_sweep`). Each distinct history is a call
    of its own with the same images, so that a condition's responses are the same numbers, to the bit,
    whatever other conditions are shown along with it.

    Args:
        network: In evaluation mode; steps through time, or is applied to each frame.
        presentations: One for each condition, idle steps included.
        layers: Which layers are recorded.
        resolution: `unit` keeps every unit, `channel` the spatial mean and standard deviation.
        idle: How many of the first steps are not recorded.
    """

    def __init__(
        self,
        network: nn.Module,
        presentations: Sequence[Presentation],
        layers: Sequence[str],
        resolution: str,
        idle: int = 0,
    ) -> None:
        self.network, self.presentations, self.layers = network, list(presentations), list(layers)
        self.resolution, self.idle = resolution, idle
        self.plan = plan_sweep(self.presentations)

    @property
    def steps_computed(self) -> int:
        """How many steps of the network a trial takes for all conditions together."""
        return sum(len(step.shown_by) for step in self.plan)

    @property
    def steps_naive(self) -> int:
        """How many it would take to show each condition by itself."""
        return len(self.plan) * len(self.presentations)

    @torch.no_grad()
    def show(self, images: Tensor, ids: npt.NDArray[np.int64]) -> BatchResponses:
        """Show a batch of images in all conditions.

        Args:
            images: Shape `[B, C, H, W]`, or `[B, K, C, H, W]` for several images a trial.
            ids: Which sample each is, shape `[B]`; seeds the sensor noise.
        """
        sequences = [StimulusSequence(images, p, ids) for p in self.presentations]
        states: list[Any] = [None]
        responses: BatchResponses | None = None
        with record_layers(self.network, self.layers) as outputs:
            for t, step in enumerate(self.plan):
                following = []
                noise: dict[int, Tensor] = {}
                for history, shown in enumerate(step.shown_by):
                    frame = _render(sequences[shown], t, ids, noise)
                    parent = step.parents[history]
                    # A network may change its state in place; histories that fork from it must not see that.
                    is_last = parent not in step.parents[history + 1 :]
                    before = states[parent] if is_last else _copy_state(states[parent])
                    scores, state = step_network(self.network, frame, before)
                    following.append(state)
                    if t >= self.idle:
                        evoked = {name: self._reduce(outputs[name]) for name in self.layers}
                        responses = responses or self._allocate(evoked, scores)
                        _keep(responses, evoked, scores, np.flatnonzero(step.history_of == history), t - self.idle)
                states = following
        if responses is None:
            raise ValueError("the idle steps leave nothing to record")
        return responses

    def _reduce(self, output: Tensor) -> dict[str, Tensor]:
        if output.dim() < 3 or self.resolution == "unit":
            return {"response": output.float()}
        flat = output.float().flatten(2)
        return {"mean": flat.mean(dim=2), "std": flat.std(dim=2, correction=0)}

    def _allocate(self, evoked: dict[str, dict[str, Tensor]], scores: Tensor) -> BatchResponses:
        leading = (len(self.presentations), len(scores), len(self.plan) - self.idle)
        layers = {
            name: {key: np.empty((*leading, *value.shape[1:]), dtype=np.float32) for key, value in variables.items()}
            for name, variables in evoked.items()
        }
        return BatchResponses(layers, np.empty((*leading, scores.shape[-1]), dtype=np.float32))


def _render(sequence: StimulusSequence, t: int, ids: npt.NDArray[np.int64], drawn: dict[int, Tensor]) -> Tensor:
    """The frame at a step; sensor noise is drawn once for the conditions that share it."""
    frame, show = sequence.noiseless_frame(t), sequence.presentation
    if show.sensor_noise == 0:
        # A network may work in place, and the frame may be the images themselves or noise that is kept.
        return frame.clone()
    if show.noise_seed not in drawn:
        noise = sensor_noise(ids, t, tuple(frame.shape[1:]), show.noise_seed)
        drawn[show.noise_seed] = torch.from_numpy(noise).to(frame.device)
    return add_scaled(frame, drawn[show.noise_seed], show.sensor_noise)


def _copy_state(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: _copy_state(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        copied = [_copy_state(value) for value in state]
        return type(state)(*copied) if hasattr(state, "_fields") else type(state)(copied)
    return copy.deepcopy(state)


def _keep(
    responses: BatchResponses,
    evoked: dict[str, dict[str, Tensor]],
    scores: Tensor,
    conditions: npt.NDArray[np.int64],
    t: int,
) -> None:
    for name, variables in evoked.items():
        for key, value in variables.items():
            responses.layers[name][key][conditions, :, t] = value.cpu().numpy()
    responses.scores[conditions, :, t] = scores.float().cpu().numpy()
