"""Progress bars: one look on a terminal, one line every ten seconds in a log."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["progress_bar", "say"]


def progress_bar(total: int | None, description: str, unit: str = "image") -> Any:
    """Make a tqdm bar that suits a terminal as well as a log file.

    Args:
        total: How many units there are; `None` where that is unknown.
        description: What is being done.
        unit: What is counted.
    """
    from tqdm import tqdm

    on_terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        mininterval=0.2 if on_terminal else 10.0,
        dynamic_ncols=on_terminal,
        file=sys.stderr,
    )


def say(message: str) -> None:
    """Print a line for the user without breaking a progress bar that is being drawn."""
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)
