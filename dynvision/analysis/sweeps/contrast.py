"""Contrast: the response function of each layer, its latency, and the psychometric function."""

from __future__ import annotations

from dynvision.analysis.naka_rushton import fit_naka_rushton, naka_rushton
from dynvision.analysis.sweeps.base import Curve, SweepAnalysis
from dynvision.analysis.sweeps.noise import ACCURACY

__all__ = ["CONTRAST"]

_RESPONSE = Curve(
    fit=lambda x, y, rows: fit_naka_rushton(x, y),
    function=naka_rushton,
    of="layers",
    mark="c50",
    mark_label="$c_{50}$",
)

CONTRAST = SweepAnalysis(
    main="response",
    also_fitted=("sustained",),
    shared=("latency",),
    curves=(_RESPONSE, ACCURACY),
    is_log=True,
)
"""The Naka–Rushton function of the evoked response, of its peak and of its sustained part; the latency to half of each
condition's own peak; and the psychometric function of accuracy."""
