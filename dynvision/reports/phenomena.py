"""The picture of a subject's phenomena on its page, and what is seen in it, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dynvision.analysis.cortex import CORTEX, find_range
from dynvision.reports.content import Picture
from dynvision.reports.numbers import format_number

__all__ = ["describe_phenomena", "picture_phenomena"]

_CAPTION = (
    "Each panel is a number of each layer (of the first 12, if there are more), with its 95 % interval; a grey band is "
    "the range in visual cortex, and an arrow a value beyond the axis. Two numbers of a layer differ in colour and "
    "shape. Latencies and accuracies have no range of their own: latency falls by tens of milliseconds from low to "
    "high contrast. {ranges}"
)


def picture_phenomena(table: pd.DataFrame, content: bytes) -> Picture:
    """Return the picture of the phenomena of a subject, with its texts.

    Args:
        table: The table of `dynvision.analysis.phenomena.list_phenomena`.
        content: The SVG file.
    """
    from dynvision.analysis.figures.phenomena import PANELS

    measured = set(table["measure"].dropna()) & {measure for panel in PANELS for measure in panel.measures}
    ranges = [
        f"{measure.replace('_', ' ')} {known.text} ({known.source})"
        for (_, measure), known in CORTEX.items()
        if measure in measured
    ]
    return Picture(
        "Numbers of the network, and ranges of cortex",
        describe_phenomena(table),
        _CAPTION.format(ranges=f"Ranges: {'; '.join(ranges)}." if ranges else "").rstrip(),
        content,
        address="phenomena.svg",
    )


def describe_phenomena(table: pd.DataFrame) -> str:
    """Say which numbers lie in the range of visual cortex, for those who do not see the picture."""
    parts = list(_say_numbers(table))
    without = [str(name) for name, rows in table.groupby("phenomenon", sort=False) if not rows["value"].notna().any()]
    if without:
        parts.append(f"No value: {', '.join(without)}")
    return ". ".join(["Panels of numbers of each layer, with the range in visual cortex as a band", *parts]) + "."


def _say_numbers(table: pd.DataFrame) -> Iterator[str]:
    for (phenomenon, measure), rows in table.groupby(["phenomenon", "measure"], sort=False):
        known, found = find_range(str(phenomenon), str(measure)), rows[np.isfinite(rows["value"].astype(float))]
        if known is None or not len(found):
            continue
        said = [
            f"{row['layer']} {format_number(row['value'])}, {'inside' if known.holds(row['value']) else 'outside'}"
            for row in found.to_dict(orient="records")
        ]
        name = str(measure).replace("_", " ")
        yield f"{phenomenon}, {name} (cortex: {known.text}): {'; '.join(said)}"
