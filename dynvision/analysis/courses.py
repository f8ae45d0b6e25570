"""Numbers read from the time course of a response: baseline, peak, latency, integral, adaptation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID, Segment

__all__ = ["NUMBERS", "Course", "Number", "find_onsets"]

_NO_RESPONSE = 1e-6
"""A peak below this share of the largest value is rounding, not a response."""


def find_onsets(presentation: Presentation) -> tuple[int, ...]:
    """Return the first step of each showing of an image.

    If an image follows itself without a gap and without a change, it is shown twice. If its contrast or noise changes,
    the same showing continues.
    """
    onsets, step = [], 0
    before: Segment | None = None
    for segment in presentation.segments:
        continues = before is not None and before.frame == segment.frame and not _is_repeated(before, segment)
        if segment.frame != VOID and segment.steps > 0 and not continues:
            onsets.append(step)
        step += segment.steps
        before = segment if segment.steps > 0 else before
    return tuple(onsets)


def _is_repeated(before: Segment, segment: Segment) -> bool:
    """Whether a segment shows the same as the one before it, so that it starts anew."""
    return dataclasses.replace(before, steps=segment.steps) == segment


@dataclass(frozen=True)
class Course:
    """The mean response of a layer in one condition.

    The value of a step is the response at the end of that step: a stimulus that is first shown in step t has acted for
    one step when the value of step t is read.

    Attributes:
        values: The mean response at each step, shape `[T]`, in the units of the layer.
        onsets: The first step of each showing of an image.
        rest: The resting response: that of the last idle step before the trial, or 0 if there is no idle step. It is
            the baseline of a trial that begins with the stimulus.
    """

    values: npt.NDArray[np.float64]
    onsets: tuple[int, ...]
    rest: float = 0.0

    @cached_property
    def baseline(self) -> float:
        """The mean before the first onset, or the resting response if the trial begins with the stimulus."""
        if not self.onsets or self.onsets[0] == 0:
            return self.rest
        return float(self.values[: self.onsets[0]].mean())

    def peak(self, showing: int = 0) -> float:
        """Return the highest response above baseline from an onset to the next one, or to the end of the trial.

        The window does not end with the stimulus, because a deep layer responds to a brief stimulus after its end.

        Args:
            showing: Which onset, counted from 0; NaN if there is no such one.
        """
        part = self._evoked(showing)
        return float(part.max() - self.baseline) if part is not None else float("nan")

    def peak_step(self) -> int | None:
        """Return the step of the first peak; `None` if nothing is shown or a value is NaN."""
        part = self._evoked(0)
        return None if part is None or np.isnan(part).any() else self.onsets[0] + int(part.argmax())

    def latency(self) -> float:
        """Return how many steps pass from the first onset until half of the peak above baseline is reached.

        Values between the ends of steps are interpolated linearly. NaN if there is no response above baseline.
        """
        part, peak = self._evoked(0), self.peak()
        if part is None or not peak > self._least():
            return float("nan")
        half = self.baseline + peak / 2
        reached = int(np.argmax(part >= half))
        onset = self.onsets[0]
        before = part[reached - 1] if reached else (self.values[onset - 1] if onset else self.baseline)
        share = (half - before) / (part[reached] - before) if before < half else 0.0
        return float(reached + share)

    def integral(self) -> float:
        """Return the sum of the response above baseline over the steps from the first onset to the end of the trial.

        NaN if nothing is shown.
        """
        if not self.onsets:
            return float("nan")
        return float((self.values[self.onsets[0] :] - self.baseline).sum())

    def adaptation(self) -> float:
        """Return the adaptation index: second peak over first peak, both above the baseline before the first.

        1 means no adaptation, below 1 repetition suppression (Grill-Spector, Henson & Martin, Trends in Cognitive
        Sciences 10, 2006), above 1 that responses add up. The first peak is the highest response before the second
        onset. A layer that is slower than the interval has not reached its peak by then, so its index is high. NaN if
        there is no second showing or no response to the first.
        """
        if len(self.onsets) < 2 or not self.peak() > self._least():
            return float("nan")
        return self.peak(1) / self.peak()

    def _evoked(self, showing: int) -> npt.NDArray[np.float64] | None:
        if showing >= len(self.onsets):
            return None
        return self.values[slice(*[*self.onsets, len(self.values)][showing : showing + 2])]

    def _least(self) -> float:
        return _NO_RESPONSE * float(np.abs(self.values).max()) + 1e-12


@dataclass(frozen=True)
class Number:
    """A number that is read from a time course.

    Attributes:
        read: Reads the number from a course.
        label: The label of an axis, with the unit.
        per_step: Whether the number is a duration in steps, which is given in ms too if the step has a duration.
    """

    read: Callable[[Course], float]
    label: str
    per_step: bool = False


NUMBERS: Mapping[str, Number] = {
    "response": Number(Course.peak, "peak above baseline"),
    "latency": Number(Course.latency, "latency to half peak", per_step=True),
    "integral": Number(Course.integral, "response above baseline × steps"),
    "adaptation": Number(Course.adaptation, "second peak / first peak"),
}
"""The numbers by the names of their columns."""
