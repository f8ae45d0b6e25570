"""What the benchmark `scale` gives to engines: functions of JSON-ready arguments."""

from __future__ import annotations

import time


def sleep(seconds: float) -> float:
    """Sleep; return how long."""
    time.sleep(seconds)
    return seconds


def warm_up() -> None:
    """Import what a recording needs."""
    import ffcv  # noqa: F401
    import torch  # noqa: F401
