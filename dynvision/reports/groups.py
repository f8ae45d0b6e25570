"""Responses by a column about the images, as a page has them: the table, and the picture in words."""

from __future__ import annotations

import pandas as pd

from dynvision.reports.content import Table
from dynvision.reports.numbers import format_measured, format_number
from dynvision.reports.words import MOST_NAMED, list_words

__all__ = ["describe_groups", "list_groups"]

_MOST_ROWS = 400


def list_groups(groups: pd.DataFrame) -> Table:
    """List the responses by a column about the images."""
    names = [str(name) for name in groups.columns if name not in ("response", "sem", "n")]
    rows = [
        [
            *(str(row[name]) if isinstance(row[name], str) else format_number(row[name]) for name in names),
            format_measured(row["response"], row["sem"]),
            format_number(row["n"]),
        ]
        for row in groups.head(_MOST_ROWS).to_dict(orient="records")
    ]
    left = len(groups) - len(rows)
    note = "± is the standard error over the n images." + (f" {left} more rows are in groups.csv." if left else "")
    return Table("Peak above rest by group of images", [*names, "response", "n"], rows, len(names), note=note)


def describe_groups(groups: pd.DataFrame, along: str, across: str | None) -> tuple[str, str, str]:
    """Describe the picture of responses by a column about the images.

    Args:
        groups: The table of `dynvision.analysis.groups.measure_groups`, with a row at least.
        along: The swept parameter along which they are drawn.
        across: The other one, of which the last level is drawn; or `None`.

    Returns:
        Its title, what is seen in it, and how it is read.
    """
    column, where = str(groups["column"].iloc[0]).replace("_", " "), ""
    if across is not None:
        last = groups[across].iloc[-1]
        groups, where = groups[groups[across] == last], f" at {across} {_say_value(last)}"
    values = [_say_value(value) for value in dict.fromkeys(groups["value"])]
    texts = []
    for layer, part in groups.groupby("layer", sort=False):
        means = part.groupby("value", sort=False)["response"].mean().dropna()
        # By size, because a layer may be suppressed.
        ordered = sorted(means.items(), key=lambda pair: -abs(pair[1]))
        if len(ordered) > 1:
            most, least = (f"{_say_value(value)} ({format_number(mean)})" for value, mean in (ordered[0], ordered[-1]))
            texts.append(f"{layer}: on average strongest to {most}, weakest to {least}.")
    return (
        f"By {column}",
        f"The peak of the response to the images of each {column} ({list_words(values)}) against {along}{where}; a "
        f"panel for each layer. {' '.join(texts[:MOST_NAMED])}",
        f"Peaks of the mean over the images of a value, above rest{where}; error bars are standard errors over images. "
        "More than 7 values are the rows of a heat map: dark is low.",
    )


def _say_value(value: object) -> str:
    return value if isinstance(value, str) else format_number(value)
