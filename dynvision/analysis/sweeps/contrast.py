"""Contrast: the response function of each layer, and how latency shortens."""

from __future__ import annotations

from dynvision.analysis.naka_rushton import fit_naka_rushton, naka_rushton
from dynvision.analysis.sweeps.base import Curve, SweepAnalysis

__all__ = ["CONTRAST"]

CONTRAST = SweepAnalysis(
    title="contrast",
    main="response",
    shared=("latency",),
    curve=Curve(
        fit=lambda x, y, rows: fit_naka_rushton(x, y),
        function=naka_rushton,
        of="layers",
        mark="c50",
        mark_label="$c_{50}$",
    ),
)
"""Naka–Rushton function of the peak response above baseline; latency to half of each condition's own peak."""
