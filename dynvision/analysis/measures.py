"""Measures of recorded responses, as tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray

from dynvision.config.experiments import Readout
from dynvision.data.schedule import Presentation
from dynvision.experiments.reading import open_store
from dynvision.experiments.readout import accuracy_over_time, chance_level, class_mask, score_accuracy

__all__ = ["measure_condition", "measure_tuning", "score_responses"]

OUTPUT = "output"
"""The name of the network's output in the column `layer`."""


def measure_condition(store: Path, readout: Readout, presentation: Presentation) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Measure one condition over time.

    Accuracy is the share of trials named right. A layer's mean and standard deviation are taken over
    all samples and units; from stores with channel resolution they are put together from the spatial
    mean m and standard deviation s of each channel as ``σ² = ⟨s² + m²⟩ − ⟨m⟩²``, which is exact.

    Args:
        store: The condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when.

    Returns:
        A table of `time, layer, measure, value`, and the numbers for the whole trial: `accuracy`,
        `chance` and `peak/<layer>` (the highest mean response).
    """
    tree = open_store(store)
    over_time, numbers = score_responses(tree.to_dataset(), readout, presentation)
    rows = [_rows(OUTPUT, "accuracy", over_time)]
    for name, node in tree.children.items():
        mean, std = _mean_and_std({str(key): variable.values for key, variable in node.data_vars.items()})
        rows += [_rows(name, "mean", mean), _rows(name, "std", std)]
        numbers[f"peak/{name}"] = float(mean.max())
    return pd.concat(rows, ignore_index=True), numbers


def score_responses(
    root: xarray.Dataset, readout: Readout, presentation: Presentation
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Read accuracy out of the class scores of a condition.

    Args:
        root: The root of the condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when.

    Returns:
        Accuracy at each step, shape `[T]`, and `accuracy`, its standard error over trials
        `accuracy_sem`, `chance` and `samples`.
    """
    scores, labels = root["scores"].values, root["label"].values
    if "image_label" in root:
        labels = root["image_label"].values[:, readout.image]
    classes = root["class"].values.tolist()
    choices = class_mask(classes, root.attrs["group_classes"], readout.choices)
    window = presentation.window(readout.window, readout.image)
    trials = score_accuracy(scores, labels, classes, choices, window, readout.reduce)
    numbers = {
        "accuracy": float(trials.mean()),
        "accuracy_sem": float(trials.std(ddof=1) / np.sqrt(len(trials))) if len(trials) > 1 else float("nan"),
        "chance": chance_level(labels, classes, choices),
        "samples": len(trials),
    }
    return accuracy_over_time(scores, labels, classes, choices), numbers


def measure_tuning(
    stores: Sequence[tuple[Mapping[str, str], Path, Presentation]], readout: Readout
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure all conditions of an experiment.

    Args:
        stores: The level of each parameter, the store, and what was shown.
        readout: How predictions become one accuracy.

    Returns:
        The tidy table (`condition`, one column for each parameter, `time, layer, measure, value`), and one
        row for each condition with the numbers of the whole trial.
    """
    tables, tuning = [], []
    for condition, store, presentation in stores:
        table, numbers = measure_condition(store, readout, presentation)
        text = ",".join(f"{key}={value}" for key, value in condition.items())
        levels = {key: _as_number(value) for key, value in condition.items()}
        for place, (key, value) in enumerate({"condition": text, **levels}.items()):
            table.insert(place, key, value)
        tables.append(table)
        tuning.append({"condition": text, **levels, **numbers})
    return pd.concat(tables, ignore_index=True), pd.DataFrame(tuning)


def _rows(layer: str, measure: str, values: npt.NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"time": np.arange(len(values)), "layer": layer, "measure": measure, "value": values.astype(np.float64)}
    )


def _mean_and_std(variables: dict[str, npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    if "mean" in variables:
        mean, std = variables["mean"].astype(np.float64), variables["std"].astype(np.float64)
        first, second = mean.mean(axis=(0, 2)), (std**2 + mean**2).mean(axis=(0, 2))
    else:
        response = variables["response"].astype(np.float64)
        axes = (0, *range(2, response.ndim))
        first, second = response.mean(axis=axes), (response**2).mean(axis=axes)
    return first, np.sqrt(np.maximum(second - first**2, 0))


def _as_number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
