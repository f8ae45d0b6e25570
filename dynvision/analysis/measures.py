"""Measures of recorded responses, as tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray

from dynvision.analysis.layer_measures import measure_layer
from dynvision.analysis.output_measures import measure_output
from dynvision.config.experiments import Readout
from dynvision.experiments.reading import open_store, read_store_record
from dynvision.keys import Condition
from dynvision.stimuli.presentation import Presentation

__all__ = ["OUTPUT", "measure_condition", "measure_tuning", "read_step_duration", "score_responses"]

OUTPUT = "output"
"""The name of the network's output in the column `layer`."""


def measure_condition(store: Path, readout: Readout, presentation: Presentation) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Measure one condition over time, reading its store block by block.

    The measures of the output are those of `measure_output`, those of the layers of `measure_layer`.

    Args:
        store: The condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when, without the idle steps before it.

    Returns:
        A table of `time` (in steps), `layer`, `measure` and `value`, and the numbers of the whole trial: `accuracy`,
        `accuracy_sem`, `chance`, `samples`, `peak/<layer>` (the highest mean response) and, if idle steps came before
        the trial, `rest/<layer>` (the mean response at the last of them).

    Raises:
        MissingError: If there is no store.
        ValueError: If the store has no sample.
    """
    tree = open_store(store)
    resting = read_store_record(store).details["resting_response"]
    over_time, numbers = measure_output(tree.to_dataset(), readout, presentation)
    rows = [_rows(OUTPUT, measure, values) for measure, values in over_time.items()]
    for name, node in tree.children.items():
        measures = measure_layer(node.to_dataset(inherit=False))
        rows += [_rows(name, measure, values) for measure, values in measures.items()]
        numbers[f"peak/{name}"] = float(measures["mean"].max())
        if name in resting:
            numbers[f"rest/{name}"] = resting[name]
    return pd.concat(rows, ignore_index=True), numbers


def score_responses(
    root: xarray.Dataset, readout: Readout, presentation: Presentation
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Read accuracy out of the class scores of a condition.

    Args:
        root: The root of the condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when, without the idle steps before it.

    Returns:
        Accuracy at each step, shape `[T]`; and the numbers `accuracy`, its standard error over trials `accuracy_sem`,
        `chance` and `samples`.
    """
    over_time, numbers = measure_output(root, readout, presentation, only_accuracy=True)
    return over_time["accuracy"], numbers


def measure_tuning(
    stores: Sequence[tuple[Mapping[str, str], Path, Presentation]], readout: Readout
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure all conditions of an experiment.

    Args:
        stores: For each condition the level of each parameter, the store, and the presentation.
        readout: How predictions become one accuracy.

    Returns:
        The tidy table (`condition`, one column for each parameter, `time, layer, measure, value`), and the tuning
        table, which has one row for each condition with the numbers of the whole trial; see `measure_condition`.
    """
    tables, tuning = [], []
    columns = {key: _as_numbers([condition[key] for condition, _, _ in stores]) for key in stores[0][0]}
    for number, (condition, store, presentation) in enumerate(stores):
        table, numbers = measure_condition(store, readout, presentation)
        text = str(Condition(condition))
        levels = {key: values[number] for key, values in columns.items()}
        for position, (key, value) in enumerate({"condition": text, **levels}.items()):
            table.insert(position, key, value)
        tables.append(table)
        tuning.append({"condition": text, **levels, **numbers})
    return pd.concat(tables, ignore_index=True), pd.DataFrame(tuning)


def read_step_duration(store: Path) -> float | None:
    """Return the duration of a step in ms; `None` if the network of the store has no unit of time."""
    root = open_store(store).to_dataset()
    if "time_ms" not in root.coords or root.sizes["time"] < 2:
        return None
    return float(root["time_ms"][1] - root["time_ms"][0])


def _rows(layer: str, measure: str, values: npt.NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"time": np.arange(len(values)), "layer": layer, "measure": measure, "value": values.astype(np.float64)}
    )


def _as_numbers(levels: Sequence[str]) -> list[Any]:
    """Convert levels to numbers; if one of them is a name, all of them stay text."""
    for number in (int, float):
        try:
            return [number(level) for level in levels]
        except ValueError:
            continue
    return list(levels)
