"""Responses by the value of a column about the images, such as the category of a stimulus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray

from dynvision.analysis.evoked import Evoked
from dynvision.analysis.measures import list_layers, number_levels, read_evoked
from dynvision.data.images.stimulus_table import STIMULUS_ID
from dynvision.errors import unknown_name
from dynvision.experiments.reading import open_store
from dynvision.keys import Condition
from dynvision.reserved_names import GROUP_COLUMNS
from dynvision.stimuli.presentation import Presentation

__all__ = ["measure_groups"]


def measure_groups(
    stores: Sequence[tuple[Mapping[str, str], Path, Presentation]], column: str, where: str
) -> pd.DataFrame:
    """Measure the response to the images of each value of a column, in each condition.

    Args:
        stores: For each condition the level of each parameter, the store, and the presentation.
        column: A coordinate of the samples: a column of the table of stimuli, or `label`.
        where: The experiment and subject, for messages.

    Returns:
        A row for each condition, layer and value: `column`, `value`, `condition`, one column for each parameter,
        `layer`, `response` (the peak of the mean over these images of the response minus the resting run; see
        `dynvision.analysis.courses`), `sem` (its standard error over images) and `n` (how many there are). Images
        without a value (an empty text, or NaN) are left out. There is no row for images without a table.

    Raises:
        UnknownNameError: If the table of a stimulus set has no such column; the message names the nearest.
    """
    levels = number_levels([condition for condition, _, _ in stores])
    rows: list[dict[str, Any]] = []
    for number, (condition, store, presentation) in enumerate(stores):
        tree = open_store(store)
        groups = _group_samples(tree.to_dataset(), column, where)
        common = {"condition": str(Condition(condition)), **{name: values[number] for name, values in levels.items()}}
        for layer in list_layers(tree):
            _, _, evoked = read_evoked(tree, layer, presentation)
            for value, chosen in groups.items():
                single = None if evoked.single is None else evoked.single[chosen]
                peak = Evoked(evoked.values[chosen], evoked.showing, single).measure_peak()
                measured = {"response": peak.value, "sem": peak.sem, "n": len(chosen)}
                rows.append({"column": column, "value": value, **common, "layer": layer, **measured})
    return pd.DataFrame(rows, columns=[*GROUP_COLUMNS[:3], *levels, *GROUP_COLUMNS[3:]])


def _group_samples(root: xarray.Dataset, column: str, where: str) -> dict[Any, np.ndarray[Any, Any]]:
    """Return which samples have each value of a column, in the order of the values; nothing if there is no table."""
    known = [str(name) for name, values in root.coords.items() if values.dims == ("sample",) and name != "sample"]
    if column not in known and STIMULUS_ID not in known:
        return {}
    if column not in known:
        raise unknown_name("column of the images", column, known, f"{where}: group_by")
    values = pd.Series(root[column].values.tolist())
    values = values[values.notna() & (values != "")]
    return {value: np.asarray(rows.index) for value, rows in values.groupby(values, sort=True)}
