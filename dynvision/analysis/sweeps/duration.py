"""Duration: how responses add up over time."""

from __future__ import annotations

from dynvision.analysis.sweeps.base import SweepAnalysis

__all__ = ["DURATION"]

DURATION = SweepAnalysis(main="integral")
"""The evoked response, summed from onset to the end of the trial, against the stimulus's duration.

A sum in proportion to the duration is linear temporal summation; a smaller one, of a response that decays while the
stimulus lasts, is subadditive (Zhou, Benson, Kay & Winawer, J. Neurosci. 38, 2018).
"""
