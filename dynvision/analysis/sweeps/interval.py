"""Interval: how the response to an image recovers after the image before it."""

from __future__ import annotations

from dynvision.analysis.sweeps.base import SweepAnalysis

__all__ = ["INTERVAL"]

INTERVAL = SweepAnalysis(main="adaptation", shared=("adaptation",))
"""The adaptation index (second peak over first peak, above baseline) against the inter-stimulus interval."""
