from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dynvision.analysis.measures import measure_condition, measure_tuning
from dynvision.config.experiments import Readout
from dynvision.data.schedule import Presentation
from tests import stores

N, T = 6, 8
SHOW = Presentation.duration(T, 4, 1)
CLASSES = [3, 5, 9]
LABELS = np.array([3, 5, 3, 5, 3, 5])


def write_responses(store: Path, arrays: dict[str, np.ndarray]) -> Path:
    coordinates = {"label": ("sample", LABELS), "class": ("class", np.array(CLASSES))}
    attributes = {"group_classes": sorted({int(label) for label in LABELS})}
    return stores.write_responses(store, arrays, coordinates=coordinates, attributes=attributes)


@pytest.fixture
def responses() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "V1/response": rng.random((N, T, 4, 5, 5)).astype(np.float32),
        "scores": rng.normal(size=(N, T, 3)).astype(np.float32),
    }


def values(table: pd.DataFrame, layer: str, measure: str) -> np.ndarray:
    return table[(table["layer"] == layer) & (table["measure"] == measure)]["value"].to_numpy()


def test_mean_and_deviation_are_taken_over_samples_and_units(tmp_path, responses):
    table, numbers = measure_condition(write_responses(tmp_path / "x.zarr", responses), Readout(), SHOW)
    response = responses["V1/response"].astype(np.float64)
    np.testing.assert_allclose(values(table, "V1", "mean"), response.mean(axis=(0, 2, 3, 4)))
    np.testing.assert_allclose(values(table, "V1", "std"), response.std(axis=(0, 2, 3, 4)), rtol=1e-6)
    assert numbers["peak/V1"] == pytest.approx(response.mean(axis=(0, 2, 3, 4)).max())


def test_channel_resolution_gives_the_same_mean_and_deviation_as_every_unit(tmp_path, responses):
    units = responses["V1/response"]
    reduced = {"V1/mean": units.mean(axis=(3, 4)), "V1/std": units.std(axis=(3, 4)), "scores": responses["scores"]}
    whole, _ = measure_condition(write_responses(tmp_path / "x.zarr", responses), Readout(), SHOW)
    channels, _ = measure_condition(write_responses(tmp_path / "y.zarr", reduced), Readout(), SHOW)
    pd.testing.assert_frame_equal(whole, channels, rtol=1e-5)


def test_accuracy_is_that_of_the_stated_readout(tmp_path, responses):
    store = write_responses(tmp_path / "x.zarr", responses)
    scores = responses["scores"]
    forced = np.asarray(CLASSES)[scores[:, :, :2].argmax(axis=2)] == LABELS[:, None]
    free = np.asarray(CLASSES)[scores.argmax(axis=2)] == LABELS[:, None]
    table, late = measure_condition(store, Readout(), SHOW)
    np.testing.assert_allclose(values(table, "output", "accuracy"), forced.mean(axis=0))
    assert late["accuracy"] == pytest.approx(forced[:, 3:5].mean())
    assert late["chance"] == 0.5
    _, whole = measure_condition(store, Readout(window="all", reduce="max", choices="all"), SHOW)
    assert whole["accuracy"] == pytest.approx(free.any(axis=1).mean())
    assert whole["chance"] == pytest.approx(1 / 3)
    trials = forced[:, 3:5].mean(axis=1)
    assert late["accuracy_sem"] == pytest.approx(trials.std(ddof=1) / np.sqrt(N))
    assert late["samples"] == N


def test_table_is_tidy_and_has_a_column_for_each_parameter(tmp_path, responses):
    store = write_responses(tmp_path / "x.zarr", responses)
    conditions = [({"contrast": level, "duration": "4"}, store, SHOW) for level in ("0.1", "1.0")]
    table, tuning = measure_tuning(conditions, Readout())
    assert list(table.columns) == ["condition", "contrast", "duration", "time", "layer", "measure", "value"]
    assert table["condition"].unique().tolist() == ["contrast=0.1,duration=4", "contrast=1.0,duration=4"]
    assert len(table) == 2 * T * 3
    assert not table.duplicated(["condition", "time", "layer", "measure"]).any()
    assert tuning["contrast"].tolist() == [0.1, 1.0]
    assert tuning["duration"].tolist() == [4, 4]
    assert np.isfinite(tuning["accuracy"]).all()


def test_summary_of_a_chain_says_the_same_as_its_responses(chain):
    folder = chain.root / "data" / "reports" / "contrast" / "rcnn_gratings"
    table, tuning = pd.read_parquet(folder / "table.parquet"), pd.read_csv(folder / "tuning.csv")
    assert tuning["contrast"].tolist() == [0.1, 0.5, 1.0]
    assert set(table["layer"]) == {"output", "V1", "V2", "V4", "IT", "classifier"}
    pd.testing.assert_frame_equal(table, pd.read_csv(folder / "table.csv"), check_dtype=False)
    workspace = chain.open()
    for row, target in zip(
        tuning.itertuples(), workspace.targets(("responses", "contrast", "rcnn_gratings")), strict=True
    ):
        record = workspace.stage(target).read_record(target)
        assert row.accuracy == pytest.approx(record.details["accuracy"])
        peak = tuning["peak/V1"][row.Index]
        assert peak == pytest.approx(record.details["peak_response"]["V1"], rel=1e-4)
