"""Duration: how responses add up over time."""

from __future__ import annotations

from dynvision.analysis.sweeps.base import SweepAnalysis

__all__ = ["DURATION"]

DURATION = SweepAnalysis(main="integral")
"""The response above baseline, summed from onset to the end of the trial, against the stimulus's duration.

A response that is proportional to duration adds up linearly; one that is briefer than its stimulus, less (temporal
summation; Zhou, Benson, Kay & Winawer, J. Neurosci. 38, 2018).
"""
