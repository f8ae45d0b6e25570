"""Measures of recorded responses, as tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray

from dynvision.analysis.courses import NUMBERS, Showing, find_extreme
from dynvision.analysis.evoked import Evoked
from dynvision.analysis.layer_measures import measure_layer
from dynvision.analysis.output_measures import measure_output
from dynvision.config.sections.experiments import Readout
from dynvision.errors import DamagedFileError
from dynvision.experiments.reading import open_store, read_step_duration
from dynvision.experiments.references import reference_names
from dynvision.experiments.stores.layout import IMAGE_CONTRAST, REFERENCES, REST, SINGLE
from dynvision.keys import Condition
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import count_time

__all__ = [
    "OUTPUT",
    "find_responses",
    "find_unanswered",
    "list_layers",
    "measure_condition",
    "measure_tuning",
    "number_levels",
    "read_evoked",
    "read_numbers",
    "score_responses",
]

OUTPUT = "output"
"""The name of the network's output in the column `layer`."""


def measure_condition(
    store: Path, readout: Readout, presentation: Presentation
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, npt.NDArray[np.float64]]]:
    """Measure one condition over time, reading its store block by block.

    The measures of the output are those of `measure_output`, those of the layers of `measure_layer`, and besides:

    - `rest`: the mean over samples of the resting run, the same trial with nothing shown.
    - `evoked`: the mean over samples of the response minus the resting run.
    - `evoked_sem`: its standard error over samples, which are paired with their resting runs.

    Args:
        store: The condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when, without the idle steps before it.

    Returns:
        A table of `time` (of the step's end, in steps from the onset; see `dynvision.stimuli.showings`), `layer`,
        `measure` and `value`; the numbers of the whole trial: `samples`, `accuracy`, `accuracy_sem`,
        `accuracy_samples` and `chance` (these four only if labels match the network's classes), `image_contrast` (the
        mean RMS contrast of the trials' first images), and for each layer `peak/<layer>` (the highest mean response,
        or the lowest one of a suppressed layer), `rest/<layer>` (the mean of the resting run over the trial) and what
        `read_numbers` reads; and each layer's integral for each sample, `[N]`.

    Raises:
        MissingError: If there is no store.
        DamagedFileError: If a resting run is missing.
        ValueError: If the store has no sample.
    """
    tree, time = open_store(store), count_time(presentation)
    root = tree.to_dataset()
    over_time, numbers = measure_output(root, readout, presentation)
    rows = [_rows(time, OUTPUT, measure, values) for measure, values in over_time.items()]
    if IMAGE_CONTRAST in root.coords:
        numbers[IMAGE_CONTRAST] = float(root[IMAGE_CONTRAST].values.reshape(root.sizes["sample"], -1)[:, 0].mean())
    dt = read_step_duration(root) or presentation.dt
    integrals: dict[str, npt.NDArray[np.float64]] = {}
    for name in list_layers(tree):
        measures, rest, evoked = read_evoked(tree, name, presentation)
        integrals[name] = evoked.integrals()
        measures |= {"rest": rest.mean(axis=0), "evoked": evoked.mean, "evoked_sem": evoked.sem}
        rows += [_rows(time, name, measure, values) for measure, values in measures.items()]
        numbers[f"peak/{name}"] = find_extreme(measures["mean"], measures["rest"], evoked.showing)
        numbers[f"rest/{name}"] = float(rest.mean())
        numbers |= read_numbers(evoked, name, dt)
    return pd.concat(rows, ignore_index=True), numbers, integrals


def list_layers(tree: xarray.DataTree) -> list[str]:
    """Return the layers of a store, in order."""
    return [name for name in tree.children if name not in REFERENCES]


def read_evoked(
    tree: xarray.DataTree, layer: str, presentation: Presentation
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64], Evoked]:
    """Read the responses of a layer block by block, and compare them with the resting run.

    Args:
        tree: The condition's store.
        layer: The layer.
        presentation: What was shown when, without the idle steps before it.

    Returns:
        The measures of `measure_layer`; the mean over units of each sample in the resting run, `[N, T]`; and the
        responses minus that.

    Raises:
        DamagedFileError: If a resting run is missing.
    """
    measures, means = measure_layer(tree.children[layer].to_dataset(inherit=False))
    runs = {run: _read_run(tree, run, layer) for run in reference_names(presentation)}
    rest = runs.pop(REST)
    single = {run: values - rest for run, values in runs.items()}.get(SINGLE)
    with np.errstate(invalid="ignore"):
        known = np.where(np.isfinite(means), means, np.nan)
    return measures, rest, Evoked(known - rest, Showing.of(presentation), single)


def read_numbers(evoked: Evoked, layer: str, dt: float | None) -> dict[str, float]:
    """Read the numbers of a layer's evoked response.

    Args:
        evoked: The responses of all samples.
        layer: The layer.
        dt: Milliseconds a step, or `None`.

    Returns:
        `<number>/<layer>`, with the standard error over samples in `<number>_sem/<layer>`; durations also in ms as
        `<number>_ms/<layer>` and `<number>_ms_sem/<layer>`; and `response_null/<layer>`.
    """
    numbers: dict[str, float] = {}
    for name, number in evoked.measure().items():
        units = {"": 1.0, **({"_ms": dt} if NUMBERS[name].per_step and dt is not None else {})}
        for unit, factor in units.items():
            numbers[f"{name}{unit}/{layer}"] = number.value * factor
            numbers[f"{name}{unit}_sem/{layer}"] = number.sem * factor
        if name == "response":
            numbers[f"response_null/{layer}"] = evoked.null_of_peak()
    return numbers


def score_responses(
    root: xarray.Dataset, readout: Readout, presentation: Presentation
) -> tuple[npt.NDArray[np.float64] | None, dict[str, Any]]:
    """Read accuracy out of the class scores of a condition.

    Args:
        root: The root of the condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when, without the idle steps before it.

    Returns:
        Accuracy at each step, shape `[T]`; and the numbers `accuracy`, its standard error over trials `accuracy_sem`,
        `accuracy_samples`, `chance` and `samples`. If labels have nothing to do with the network's classes, `None`, and
        `samples` alone.
    """
    over_time, numbers = measure_output(root, readout, presentation, only_accuracy=True)
    return over_time.get("accuracy"), numbers


def measure_tuning(
    stores: Sequence[tuple[Mapping[str, str], Path, Presentation]], readout: Readout
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, npt.NDArray[np.float64]]]]:
    """Measure all conditions of an experiment.

    Args:
        stores: For each condition the level of each parameter, the store, and the presentation.
        readout: How predictions become one accuracy.

    Returns:
        The tidy table (`condition`, one column for each parameter, `time, layer, measure, value`); the tuning table,
        which has one row for each condition with the numbers of the whole trial; and for each condition each layer's
        integral for each sample. See `measure_condition`.
    """
    tables, tuning, integrals = [], [], []
    columns = number_levels([condition for condition, _, _ in stores])
    for number, (condition, store, presentation) in enumerate(stores):
        table, numbers, of_layers = measure_condition(store, readout, presentation)
        integrals.append(of_layers)
        text = str(Condition(condition))
        levels = {key: values[number] for key, values in columns.items()}
        for position, (key, value) in enumerate({"condition": text, **levels}.items()):
            table.insert(position, key, value)
        tables.append(table)
        tuning.append({"condition": text, **levels, **numbers})
    return pd.concat(tables, ignore_index=True), pd.DataFrame(tuning), integrals


def number_levels(conditions: Sequence[Mapping[str, str]]) -> dict[str, list[Any]]:
    """Return the level of each parameter in each condition, as a number if all levels of the parameter are numbers."""
    return {key: _as_numbers([condition[key] for condition in conditions]) for key in conditions[0]}


def find_unanswered(table: pd.DataFrame, tuning: pd.DataFrame) -> list[str]:
    """Return the conditions in which the network names no class: their accuracy is NaN although all scores are finite.

    Args:
        table: The tidy table of `measure_tuning`.
        tuning: The tuning table; without a column `accuracy` no class was to be named.
    """
    if "accuracy" not in tuning:
        return []
    confidence = table[(table["layer"] == OUTPUT) & (table["measure"] == "guess_confidence")]
    is_finite = confidence["value"].notna().groupby(confidence["condition"]).all()
    without = tuning.loc[tuning["accuracy"].isna(), "condition"]
    return [str(condition) for condition in without if is_finite.get(condition, False)]


def find_responses(tuning: pd.DataFrame, layer: str) -> pd.Series:
    """Tell in which conditions a layer responds: the peak is further from 0 than noise alone would reach.

    Args:
        tuning: The tuning table of `measure_tuning`.
        layer: The layer.

    Returns:
        A truth value for each row. Where the null is not known, any response counts.
    """
    null = tuning[f"response_null/{layer}"].fillna(0)
    responds: pd.Series = tuning[f"response/{layer}"].abs() > null
    return responds


def _read_run(tree: xarray.DataTree, run: str, layer: str) -> npt.NDArray[np.float64]:
    """Read the mean of a layer in a run that the condition is compared with, shape `[N, T]`."""
    if run not in tree.children or layer not in tree.children[run].data_vars:
        raise DamagedFileError(
            f"the responses have no '{run}' of '{layer}': they were recorded before it was. Make them again."
        )
    return np.asarray(tree.children[run][layer].values, dtype=np.float64)


def _rows(time: npt.NDArray[np.int64], layer: str, measure: str, values: npt.NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame({"time": time, "layer": layer, "measure": measure, "value": values.astype(np.float64)})


def _as_numbers(levels: Sequence[str]) -> list[Any]:
    """Convert levels to numbers; if one of them is a name, all of them stay text."""
    for number in (int, float):
        try:
            return [number(level) for level in levels]
        except ValueError:
            continue
    return list(levels)
