"""Numbers read from the time course of a response: peak, latency, integral, width, recovery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import find_onsets
from dynvision.stimuli.timeline import find_late_steps

__all__ = ["NUMBERS", "Course", "Number", "Showing", "find_extreme"]

Values = npt.NDArray[np.float64]

_NO_RESPONSE = 1e-6
"""A peak below this share of the largest value is rounding, not a response."""


@dataclass(frozen=True)
class Showing:
    """When images are shown in a trial, as far as numbers need it.

    Attributes:
        onsets: The first step of each showing of an image, see `find_onsets`.
        stop: The step after the last one of the first showing; 0 if nothing is shown.
    """

    onsets: tuple[int, ...]
    stop: int = 0

    @classmethod
    def of(cls, presentation: Presentation) -> Showing:
        """Read the showings of a presentation."""
        onsets = find_onsets(presentation)
        if not onsets:
            return cls(())
        end = onsets[1] if len(onsets) > 1 else presentation.n_timesteps
        return cls(onsets, onsets[0] + int((presentation.frames[onsets[0] : end] >= 0).sum()))


@dataclass(frozen=True)
class Course:
    """The evoked response of a layer in one condition: its mean over units minus that of the resting run.

    The resting run is the same trial with nothing shown, the same images' noise included, so that the difference is 0
    before the onset, and what noise adds to both is gone. The value of a step belongs to the end of the step: a
    stimulus that is first shown in step t has acted for one step when the value of step t is read. Times count from the
    onset.

    Every number is read along the last axis. Peaks are signed: that of a layer that is suppressed is its trough.

    Attributes:
        values: The evoked response at each step, shape `[…, T]`, in the units of the layer.
        showing: When images are shown.
        single: The same of the trial with its first showing alone; by default the trial shows one image.
    """

    values: Values
    showing: Showing
    single: Values | None = None

    @cached_property
    def _first(self) -> Values | None:
        """The response to the first showing from its onset on, shape `[…, steps]`; `None` if nothing is shown."""
        if not self.showing.onsets:
            return None
        values = self.values if self.single is None else self.single
        return values[..., self.showing.onsets[0] :]

    @cached_property
    def _peak_index(self) -> npt.NDArray[np.intp]:
        first = self._shown()
        index: npt.NDArray[np.intp] = np.abs(np.where(np.isnan(first), 0, first)).argmax(axis=-1)
        return index

    def peak(self) -> Values:
        """Return the peak of the response to the first showing: the value furthest from 0, up to the trial's end.

        The window does not end with the stimulus, because a deep layer responds to a brief stimulus after its end. NaN
        if nothing is shown or a value is NaN.
        """
        if self._first is None:
            return self._nothing()
        peak = _at(self._first, self._peak_index)
        return np.where(np.isnan(self._first).any(axis=-1), np.nan, peak)

    def peak_step(self) -> npt.NDArray[np.intp]:
        """Return the step of the trial at whose end the peak is; meaningless where `peak` is NaN."""
        return np.asarray(self._peak_index + (self.showing.onsets[0] if self.showing.onsets else 0))

    def time_to_peak(self) -> Values:
        """Return how many steps pass from the onset until the peak; NaN if there is no response."""
        if self._first is None:
            return self._nothing()
        return np.where(self._responds, self._peak_index + 1.0, np.nan)

    def latency(self) -> Values:
        """Return how many steps pass from the onset until half of the peak is reached; NaN if there is no response.

        Values between the ends of steps are interpolated linearly.
        """
        if self._first is None:
            return self._nothing()
        rising, half = self._upright, np.abs(self.peak()) / 2
        reached = (rising >= half[..., None]).argmax(axis=-1)
        after = _at(rising, reached)
        before = np.where(reached > 0, _at(rising, np.maximum(reached - 1, 0)), self._before_onset)
        share = np.where(before < half, (half - before) / _nonzero(after - before), 0.0)
        return np.where(self._responds, reached + share, np.nan)

    def width(self) -> Values:
        """Return the full width at half maximum, in steps: from half of the peak until the response is below it again.

        It ends where the response first falls below half after its peak. NaN if there is no response, or if it does not
        fall so far before the trial ends.
        """
        if self._first is None:
            return self._nothing()
        falling, half = self._upright, np.abs(self.peak()) / 2
        steps = np.arange(falling.shape[-1])
        is_below = (falling < half[..., None]) & (steps > self._peak_index[..., None])
        fallen = is_below.argmax(axis=-1)
        before, after = _at(falling, np.maximum(fallen - 1, 0)), _at(falling, fallen)
        end = fallen + (before - half) / _nonzero(before - after)
        return np.where(is_below.any(axis=-1), end - self.latency(), np.nan)

    def sustained(self) -> Values:
        """Return the mean over the last third of the first showing, in at least one step; NaN if nothing is shown."""
        if self._first is None:
            return self._nothing()
        onset = self.showing.onsets[0]
        late = find_late_steps(onset, self.showing.stop)
        return np.asarray(self._first[..., late.start - onset : late.stop - onset].mean(axis=-1))

    def sustained_ratio(self) -> Values:
        """Return the sustained response over the peak: 1 for a response that stays, 0 for one that is transient."""
        if self._first is None:
            return self._nothing()
        return np.where(self._responds, self.sustained() / _nonzero(self.peak()), np.nan)

    def integral(self) -> Values:
        """Return the sum over the steps from the first onset to the end of the trial; NaN if nothing is shown."""
        if not self.showing.onsets:
            return self._nothing()
        return np.asarray(self.values[..., self.showing.onsets[0] :].sum(axis=-1))

    def adaptation(self) -> Values:
        """Return the second peak over the first: the highest response after the second onset over that to one showing.

        Below 1 is repetition suppression (Grill-Spector, Henson & Martin, Trends in Cognitive Sciences 10, 2006). What
        is left of the first response counts as part of the second peak; `recovery` subtracts it. NaN if there is no
        second showing or no response to the first.
        """
        if len(self.showing.onsets) < 2:
            return self._nothing()
        return self._relative((self._sign[..., None] * self._second(self.values)).max(axis=-1))

    def recovery(self) -> Values:
        """Return how far the response to the second showing has recovered.

        It is ``max_t [R_pair(t) − R_single(t)] / max_t R_single(t)``, the first maximum from the second onset to the
        next one or to the trial's end, with the response R_single to the first showing alone (Groen et al., Temporal
        dynamics of neural responses in human visual cortex, J. Neurosci. 42, 2022). 1 is full recovery, below 1
        repetition suppression. NaN if there is no second showing or no response to the first.
        """
        if self.single is None or len(self.showing.onsets) < 2:
            return self._nothing()
        return self._relative((self._sign[..., None] * self._second(self.values - self.single)).max(axis=-1))

    def recovery_integral(self) -> Values:
        """Return the recovery by integrals: ``Σ_t [R_pair(t) − R_single(t)] / Σ_t R_single(t)``.

        The first sum is from the second onset to the next one or to the trial's end, the second one over as many steps
        from the first onset. NaN if there is no second showing or no response to the first.
        """
        if self.single is None or len(self.showing.onsets) < 2:
            return self._nothing()
        added = self._second(self.values - self.single)
        first, steps = self.showing.onsets[0], added.shape[-1]
        added, alone = added.sum(axis=-1), self.single[..., first : first + steps].sum(axis=-1)
        return np.where(self._responds, added / _nonzero(alone), np.nan)

    @cached_property
    def _sign(self) -> Values:
        peak = self.peak()
        return np.where(peak < 0, -1.0, 1.0)

    @cached_property
    def _upright(self) -> Values:
        """The first response with a positive peak."""
        return np.asarray(self._sign[..., None] * self._shown())

    @cached_property
    def _before_onset(self) -> Values:
        onset = self.showing.onsets[0]
        if onset == 0:
            return np.zeros(self.values.shape[:-1])
        values = self.values if self.single is None else self.single
        return np.asarray(self._sign * values[..., onset - 1])

    @cached_property
    def _responds(self) -> npt.NDArray[np.bool_]:
        """Whether the peak is more than rounding."""
        peak = np.abs(self.peak())
        scale = np.abs(np.nan_to_num(self.values)).max(axis=-1)
        return np.asarray(peak > _NO_RESPONSE * scale + 1e-12)

    def _shown(self) -> Values:
        assert self._first is not None
        return self._first

    def _second(self, values: Values) -> Values:
        """The part from the second onset to the next one, or to the end of the trial."""
        start, stop = [*self.showing.onsets, values.shape[-1]][1:3]
        return values[..., start:stop]

    def _relative(self, peak: Values) -> Values:
        return np.where(self._responds, peak / _nonzero(np.abs(self.peak())), np.nan)

    def _nothing(self) -> Values:
        return np.full(self.values.shape[:-1], np.nan)


def find_extreme(mean: Values, rest: Values, showing: Showing) -> float:
    """Return the highest mean response of a layer, or the lowest one of a layer that is suppressed.

    A layer is suppressed if its evoked response is furthest from 0 where it is negative. Its highest value is then that
    before the stimulus, whatever is shown.

    Args:
        mean: The mean response at each step, shape `[T]`.
        rest: That of the resting run, shape `[T]`.
        showing: When images are shown.

    Returns:
        The extreme; NaN if a value is NaN.
    """
    is_suppressed = bool(Course(mean - rest, showing).peak() < 0)
    return float(mean.min() if is_suppressed else mean.max())


def _at(values: Values, index: npt.NDArray[np.intp]) -> Values:
    """Return the value at an index along the last axis."""
    return np.asarray(np.take_along_axis(values, index[..., None], axis=-1)[..., 0])


def _nonzero(values: Values) -> Values:
    return np.where(values == 0, np.nan, values)


@dataclass(frozen=True)
class Number:
    """A number that is read from a time course.

    Attributes:
        read: Reads the number from a course.
        label: The label of an axis, with the unit.
        per_step: Whether the number is a duration in steps, which is given in ms too if the step has a duration.
        is_linear: Whether that of a mean is the mean of those of the samples.
        needs_second: Whether it needs a second showing.
    """

    read: Callable[[Course], Values]
    label: str
    per_step: bool = False
    is_linear: bool = False
    needs_second: bool = False


NUMBERS: Mapping[str, Number] = {
    "response": Number(Course.peak, "peak above rest"),
    "latency": Number(Course.latency, "latency to half peak", per_step=True),
    "time_to_peak": Number(Course.time_to_peak, "time to peak", per_step=True),
    "width": Number(Course.width, "full width at half maximum", per_step=True),
    "sustained": Number(Course.sustained, "sustained response above rest", is_linear=True),
    "sustained_ratio": Number(Course.sustained_ratio, "sustained response / peak"),
    "integral": Number(Course.integral, "response above rest × steps", is_linear=True),
    "adaptation": Number(Course.adaptation, "second peak / first peak", needs_second=True),
    "recovery": Number(Course.recovery, "recovered share of the peak", needs_second=True),
    "recovery_integral": Number(Course.recovery_integral, "recovered share of the integral", needs_second=True),
}
"""The numbers by the names of their columns."""
