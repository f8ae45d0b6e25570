"""The steps of a trial: which image each shows, at which contrast and in which noise. NumPy only, no torch."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dynvision.errors import check_number
from dynvision.stimuli.noise import Noise
from dynvision.stimuli.segments import VOID, Segment, count_steps
from dynvision.stimuli.timeline import find_showings

__all__ = ["TrialSteps"]

_LARGEST_PIXEL = 1e6
"""In units of the standardized image; above it, float32 loses the image."""


@dataclass(frozen=True)
class TrialSteps:
    """The T steps of a trial, made from its segments.

    `Presentation`, which has the constructors, says what the fields are.

    Raises:
        ValueError: If there is no time step, or a setting is outside its bounds.
    """

    segments: tuple[Segment, ...]
    void_value: float = 0.0
    non_label_index: int = -1
    contrast_reference: float = 0.0
    sensor_noise: float = 0.0
    noise_seed: int = 0
    dt: float | None = None

    def __post_init__(self) -> None:
        if not self.segments or self.n_timesteps == 0:
            raise ValueError("a presentation needs at least one time step")
        check_number("void_value", self.void_value)
        check_number("contrast_reference", self.contrast_reference)
        check_number("sensor_noise (a standard deviation)", self.sensor_noise, 0)
        for name in ("void_value", "contrast_reference", "sensor_noise"):
            check_number(name, getattr(self, name), -_LARGEST_PIXEL, _LARGEST_PIXEL)
        check_number("noise_seed", self.noise_seed, 0, 2**63 - 1, whole=True)
        check_number("non_label_index", self.non_label_index, -(2**63), 2**63 - 1, whole=True)
        if self.dt is not None:
            count_steps("dt", 0, self.dt)

    @cached_property
    def n_timesteps(self) -> int:
        """T, the number of time steps."""
        return sum(segment.steps for segment in self.segments)

    @cached_property
    def frames(self) -> npt.NDArray[np.int64]:
        """Which image is shown at each step: shape `[T]`, `VOID` for none."""
        return np.concatenate([np.full(s.steps, s.frame, dtype=np.int64) for s in self.segments])

    @cached_property
    def contrasts(self) -> npt.NDArray[np.float64]:
        """The contrast at each step, in [0, 1]: shape `[T]`; meaningless at void steps."""
        return np.concatenate([s.contrasts() for s in self.segments])

    @cached_property
    def noises(self) -> tuple[Noise | None, ...]:
        """The noise in the image at each step, T entries."""
        return tuple(s.noise for s in self.segments for _ in range(s.steps))

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The stretches `(start, stop)` in which every frame is the same, from first to last."""
        starts = [0, *(t for t in range(1, self.n_timesteps) if not self._is_still(t)), self.n_timesteps]
        return tuple(itertools.pairwise(starts))

    @cached_property
    def _showings(self) -> tuple[tuple[int, int, int], ...]:
        """The stretches `(start, stop, frame)` in which one image is shown."""
        return find_showings(self.frames)

    def _is_still(self, t: int) -> bool:
        """Whether step `t` shows the same frame as the step before it."""
        noise = self.noises[t]
        moves = self.sensor_noise > 0 or (noise is not None and noise.temporal != "static")
        return not moves and self.step_key(t) == self.step_key(t - 1)

    @cached_property
    def n_images(self) -> int:
        """K, how many different images a trial needs; at least 1."""
        return max(1, int(self.frames.max()) + 1)

    @cached_property
    def other_class(self) -> tuple[int, ...]:
        """Which images of a trial are of another class than its first, in order."""
        return tuple(sorted({s.frame for s in self.segments if s.other_class}))

    def preceded_by(self, idle: int) -> Self:
        """Return the same presentation after `idle` more void steps."""
        if idle == 0:
            return self
        return dataclasses.replace(self, segments=(Segment(idle), *self.segments))

    def step_key(self, t: int) -> tuple[Any, ...]:
        """Return what is shown at step `t`: equal keys at equal times mean equal frames.

        Settings without effect at this step are left out.
        """
        sensor = (self.sensor_noise, self.noise_seed) if self.sensor_noise > 0 else ()
        if self.frames[t] == VOID:
            return (VOID, self.void_value, *sensor)
        contrast = float(self.contrasts[t])
        grey = () if contrast == 1 else (self.contrast_reference,)
        return (int(self.frames[t]), contrast, self.noises[t], *grey, *sensor)

    def labels(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Spread labels over time, with `non_label_index` in void steps.

        Args:
            labels: Shape `[B]`, or `[B, K]` for several images a trial.

        Returns:
            Shape `[B, T]`, int64.
        """
        by_frame = np.asarray(labels)
        by_frame = by_frame if by_frame.ndim == 2 else by_frame[:, None]
        if by_frame.shape[1] < self.n_images:
            # The one label of a trial with several images holds for each of them.
            by_frame = np.repeat(by_frame[:, :1], self.n_images, axis=1)
        over_time = np.full((len(labels), self.n_timesteps), self.non_label_index, dtype=np.int64)
        for start, stop, frame in self._showings:
            over_time[:, start:stop] = by_frame[:, frame : frame + 1]
        return over_time
