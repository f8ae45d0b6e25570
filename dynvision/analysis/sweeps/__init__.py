"""The analysis of a sweep: one file for each swept parameter, and one line of the table here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dynvision.analysis.sweeps.base import Curve, SweepAnalysis
from dynvision.analysis.sweeps.contrast import CONTRAST
from dynvision.analysis.sweeps.duration import DURATION
from dynvision.analysis.sweeps.generic import GENERIC
from dynvision.analysis.sweeps.interval import INTERVAL
from dynvision.analysis.sweeps.noise import NOISE
from dynvision.stimuli.names import canonical_argument

__all__ = ["ANALYSES", "GENERIC", "Curve", "SweepAnalysis", "choose_analysis"]

ANALYSES: Mapping[str, SweepAnalysis] = {
    "stimulus_contrast": CONTRAST,
    "stimulus_duration": DURATION,
    "interval_duration": INTERVAL,
    "ssnr": NOISE,
}
"""The analysis of each swept parameter, by its full name."""


def choose_analysis(parameters: Sequence[str], columns: Iterable[object]) -> tuple[SweepAnalysis, str, str | None]:
    """Choose the analysis of an experiment.

    Args:
        parameters: The one or two swept parameters, under any of their names.
        columns: The columns of its tuning table. Where layers lack the main number of an analysis, such as the recovery
            of a second response if an image is shown once, the experiment is analysed as that of any other parameter.

    Returns:
        The analysis; the parameter along which it is done, which is the first one that has an analysis of its own, or
        otherwise the first one; and the other parameter or `None`. The analysis is repeated for each level of the
        other.
    """
    along = next((p for p in parameters if canonical_argument(p) in ANALYSES), parameters[0])
    across = next((p for p in parameters if p != along), None)
    analysis = ANALYSES.get(canonical_argument(along), GENERIC)
    measured = {str(name).partition("/")[0] for name in columns if "/" in str(name)}
    return (analysis if not measured or analysis.main in measured else GENERIC), along, across
