"""Noise: accuracy against the share of the signal (ssnr)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dynvision.analysis.fits import Fit, Values
from dynvision.analysis.psychometric import NAME, fit_psychometric, psychometric
from dynvision.analysis.sweeps.base import Curve, SweepAnalysis

__all__ = ["ACCURACY", "NOISE"]


def _fit(x: Values, accuracy: Values, rows: pd.DataFrame) -> Fit:
    if np.isnan(accuracy).all():
        note = "not fitted: no condition has an accuracy: all scores are the same, or are not finite"
        return Fit(NAME, levels=len(x), note=note)
    return fit_psychometric(x, accuracy, rows["accuracy_samples"].to_numpy(), float(rows["chance"].iloc[0]))


ACCURACY = Curve(fit=_fit, function=psychometric, of="accuracy", mark="half_point", mark_label="half point")

NOISE = SweepAnalysis(main="response", curves=(ACCURACY,))
"""The psychometric function of accuracy, which rises from chance without a signal, and its half point."""
