"""The definitions that Dagster loads. Importing this module reads the configuration of the root.

While this module is imported, Python's garbage collector runs less often, which makes importing Dagster a fifth faster.
The former thresholds are set again at the end.
"""

# ruff: noqa: E402  # Dagster has to be imported after the thresholds are changed.
from __future__ import annotations

import gc

from dynvision.system.machine import collect_garbage_seldom

_THRESHOLDS = collect_garbage_seldom()

from dynvision_assets.opening import open_here
from dynvision_assets.wiring import make_definitions

__all__ = ["defs"]

defs = make_definitions(open_here())
gc.set_threshold(*_THRESHOLDS)
