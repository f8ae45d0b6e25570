"""The evoked responses of a condition, sample by sample, and the numbers read from their mean with standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dynvision.analysis.courses import NUMBERS, Course, Showing

__all__ = ["Evoked", "Measured", "compare_integrals"]

Values = npt.NDArray[np.float64]

_FLIPS = 200
"""How many random choices of signs make the null of a peak."""

_LEVEL = 0.95
_FEWEST = 8
"""With fewer samples a choice of signs is too often the data's own."""

_MOST_LEFT_OUT = 500
"""How many parts of the samples the jackknife leaves out, one after the other."""


@dataclass(frozen=True)
class Measured:
    """A number with its standard error over samples, NaN if it is not known."""

    value: float
    sem: float = float("nan")

    def raised_to(self, power: float) -> Measured:
        """Return a power of the number; NaN if that is not real."""
        if power == 1:
            return self
        if self.value <= 0:
            return Measured(float("nan"))
        return Measured(self.value**power, abs(power) * self.value ** (power - 1) * self.sem)


@dataclass(frozen=True)
class Evoked:
    """The evoked responses of a layer in one condition.

    Attributes:
        values: Of each sample at each step, minus its resting run, shape `[N, T]`, in the units of the layer.
        showing: When images are shown.
        single: The same of the trial with its first showing alone, shape `[N, T]`; `None` if there is one showing.
    """

    values: Values
    showing: Showing
    single: Values | None = None

    def measure(self) -> dict[str, Measured]:
        """Read all numbers from the mean over samples; those of a second showing only if there is one.

        The standard error of sums and means is ``s / √N`` over samples; that of the peak is that of the responses at
        the step of the peak. Those of the other numbers are estimated by the jackknife, ``√((n − 1)/n · Σ_i (θ_i −
        θ̄)²)`` with the number θ_i without part i of the samples, which are left out one by one, or in 500 parts if
        there are more (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11). Samples are paired with
        their own resting run, so what noise adds to both adds no error.
        """
        has_second = len(self.showing.onsets) > 1
        mean, left_out = self._course(), self._leave_one_out()
        numbers = {}
        for name, number in NUMBERS.items():
            if number.needs_second and not has_second:
                continue
            value = float(number.read(mean))
            if number.is_linear:
                sem = float(_error(number.read(self._samples())))
            else:
                sem = _jackknife(number.read(left_out)) if left_out else float("nan")
            numbers[name] = Measured(value, sem)
        numbers["response"] = self.measure_peak()
        return numbers

    def measure_peak(self) -> Measured:
        """Read the peak of the mean over samples, the number `response`; see `measure`."""
        mean = self._course()
        return Measured(float(NUMBERS["response"].read(mean)), self._error_of_peak(mean))

    def null_of_peak(self) -> float:
        """Return the size that the largest of so many noisy steps reaches without a response, at the 95 % level.

        A maximum over noisy steps is above 0 even if nothing responds. Its null comes from the data: if there is no
        response, the sign of each sample's course is arbitrary, so it is flipped at random, 200 times, and the peak is
        read each time (Maris & Oostenveld, Nonparametric statistical testing of EEG- and MEG-data, J. Neurosci. Methods
        164, 2007). NaN with fewer than 8 samples, or if nothing is shown.
        """
        values = self.values if self.single is None else self.single
        if len(values) < _FEWEST or not self.showing.onsets or not np.isfinite(values).all():
            return float("nan")
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (_FLIPS, len(values)))
        peaks = np.abs(signs @ values[:, self.showing.onsets[0] :] / len(values)).max(axis=1)
        return float(np.quantile(peaks, _LEVEL))

    def integrals(self) -> Values:
        """Return the integral of each sample, shape `[N]`; NaN if nothing is shown."""
        return self._samples().integral()

    @property
    def mean(self) -> Values:
        """The mean over samples at each step, shape `[T]`."""
        return np.asarray(self.values.mean(axis=0))

    @property
    def sem(self) -> Values:
        """The standard error of the mean at each step, shape `[T]`; NaN for one sample."""
        return _error(self.values)

    def _samples(self) -> Course:
        return Course(self.values, self.showing, self.single)

    def _course(self) -> Course:
        return Course(self.mean, self.showing, None if self.single is None else self.single.mean(axis=0))

    def _leave_one_out(self) -> Course | None:
        if len(self.values) < 2:
            return None
        single = None if self.single is None else _means_without(self.single)
        return Course(_means_without(self.values), self.showing, single)

    def _error_of_peak(self, mean: Course) -> float:
        if not self.showing.onsets or not np.isfinite(mean.peak()):
            return float("nan")
        values = self.values if self.single is None else self.single
        return float(_error(values[:, int(mean.peak_step())]))


def compare_integrals(doubled: Values, half: Values) -> Measured:
    """Return the ratio of two integrals, and its jackknifed standard error over samples; NaN if the second one is 0.

    Args:
        doubled: The integral of each sample for a stimulus of twice the duration, shape `[N]`.
        half: That of the same samples for the plain duration, shape `[N]`.
    """
    whole = (float(doubled.sum()), float(half.sum()))
    if whole[1] == 0 or len(doubled) != len(half):
        return Measured(float("nan"))
    if len(doubled) < 2:
        return Measured(whole[0] / whole[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = (whole[0] - doubled) / (whole[1] - half)
    return Measured(whole[0] / whole[1], _jackknife(left_out))


def _jackknife(left_out: Values) -> float:
    """Return the standard error of a number from its values without each of n parts of the samples, shape `[n]`."""
    return float(np.sqrt((len(left_out) - 1) * left_out.var()))


def _means_without(values: Values) -> Values:
    """Return the mean over all samples but one part, for each part: shape `[n, T]`, with at most 500 parts."""
    starts = np.linspace(0, len(values), min(len(values), _MOST_LEFT_OUT), endpoint=False).astype(np.intp)
    counts = np.diff(np.append(starts, len(values)))[:, None]
    parts = np.add.reduceat(values, starts, axis=0)
    return np.asarray((parts.sum(axis=0) - parts) / (len(values) - counts))


def _error(values: Values) -> Values:
    count = len(values)
    if count < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(count))
