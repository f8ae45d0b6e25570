"""What a response's time course says: baseline, peak, latency, integral, adaptation."""

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
    """The first step of each showing of an image.

    An image that is shown again as it was, without a gap, is shown twice; one whose contrast or noise changes while it
    is shown goes on.
    """
    onsets, step = [], 0
    before: Segment | None = None
    for segment in presentation.segments:
        goes_on = before is not None and before.frame == segment.frame and not _is_again(before, segment)
        if segment.frame != VOID and segment.steps > 0 and not goes_on:
            onsets.append(step)
        step += segment.steps
        before = segment if segment.steps > 0 else before
    return tuple(onsets)


def _is_again(before: Segment, segment: Segment) -> bool:
    """Whether a segment shows what the one before showed, from its beginning."""
    return dataclasses.replace(before, steps=segment.steps) == segment


@dataclass(frozen=True)
class Course:
    """The mean response of a layer in one condition.

    The value of a step is the response at its end: a stimulus that is first shown in step t has acted for one step
    when the value of step t is read.

    Attributes:
        values: Shape `[T]`.
        onsets: The first step of each showing of an image.
        rest: The response at the last idle step before the trial, which is the baseline of a trial that begins with
            the stimulus; 0, silence, where there is no idle step.
    """

    values: npt.NDArray[np.float64]
    onsets: tuple[int, ...]
    rest: float = 0.0

    @cached_property
    def baseline(self) -> float:
        """The mean before the first onset; what the network rested at where the trial begins with the stimulus."""
        if not self.onsets or self.onsets[0] == 0:
            return self.rest
        return float(self.values[: self.onsets[0]].mean())

    def peak(self, showing: int = 0) -> float:
        """The highest response above baseline from an onset until the next, or the end of the trial.

        The window does not end with the stimulus: a deep layer answers to a brief one after it is gone.
        """
        part = self._evoked(showing)
        return float(part.max() - self.baseline) if part is not None else float("nan")

    def peak_step(self) -> int | None:
        """The step of the first peak; `None` where nothing is shown or a value is not a number."""
        part = self._evoked(0)
        return None if part is None or np.isnan(part).any() else self.onsets[0] + int(part.argmax())

    def latency(self) -> float:
        """Steps from the first onset until half of the peak above baseline is reached.

        Linear between the values at the ends of steps; NaN where there is no response above baseline.
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
        """The response above baseline, summed over the steps from the first onset to the end of the trial."""
        if not self.onsets:
            return float("nan")
        return float((self.values[self.onsets[0] :] - self.baseline).sum())

    def adaptation(self) -> float:
        """The adaptation index: second peak over first peak, both above the baseline before the first.

        1 means no adaptation, below 1 repetition suppression (Grill-Spector, Henson & Martin, Trends in Cognitive
        Sciences 10, 2006), above 1 that responses add up. The first peak is sought until the second onset: a layer
        that is slower than the interval has not reached it then, and its index is high. NaN where there is no second
        showing or no response to the first.
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
        read: Reads it.
        label: What a picture's axis says, with the unit.
        per_step: It is a duration in steps: where the step has a duration it is given in ms too.
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
