"""Interval: how a response recovers from the one before."""

from __future__ import annotations

from dynvision.analysis.sweeps.base import SweepAnalysis

__all__ = ["INTERVAL"]

INTERVAL = SweepAnalysis(main="adaptation", shared=("adaptation",))
"""The adaptation index (second peak over first peak, above baseline) against the inter-stimulus interval."""
