"""Any other parameter: accuracy and peak responses, without a fit."""

from __future__ import annotations

from dynvision.analysis.sweeps.base import SweepAnalysis

__all__ = ["GENERIC"]

GENERIC = SweepAnalysis(main="response")
"""Accuracy and each layer's peak response above rest against the levels, which may be numbers or names."""
