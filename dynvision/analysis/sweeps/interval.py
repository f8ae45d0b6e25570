"""Interval: how the response to an image recovers after the image before it."""

from __future__ import annotations

from dynvision.analysis.sweeps.base import SweepAnalysis

__all__ = ["INTERVAL"]

INTERVAL = SweepAnalysis(main="recovery", shared=("recovery",))
"""How far the response to the second showing has recovered, against the inter-stimulus interval."""
