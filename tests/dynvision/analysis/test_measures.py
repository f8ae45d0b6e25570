from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.special

from dynvision.analysis import streaming
from dynvision.analysis.measures import measure_condition, measure_tuning, score_responses
from dynvision.config.sections.experiments import Readout
from dynvision.experiments.reading import open_store, read_step_duration
from dynvision.stimuli.presentation import Presentation
from tests.helpers.stores import CHANNEL, SPATIAL, TOKEN, UNIT, WHOLE, write_store

pytestmark = pytest.mark.slow

N, T = 6, 8
SHOW = Presentation.duration(T, 4, 1)
CLASSES = [3, 5, 9]
LABELS = np.array([3, 5, 3, 5, 3, 5])


@pytest.fixture
def units() -> np.ndarray:
    return np.random.default_rng(0).random((N, T, 4, 5, 3)).astype(np.float32)


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N, T, 3)).astype(np.float32)


def values(table: pd.DataFrame, layer: str, measure: str) -> np.ndarray:
    return table[(table["layer"] == layer) & (table["measure"] == measure)]["value"].to_numpy()


def measures_of(table: pd.DataFrame, layer: str = "V1") -> list[str]:
    return table[table["layer"] == layer]["measure"].unique().tolist()


def measure(folder: Path, layer: dict, scores: np.ndarray) -> pd.DataFrame:
    return measure_condition(write_store(folder, {"V1": layer}, scores, LABELS, CLASSES), Readout(), SHOW)[0]


# Layers


EVOKED = ["rest", "evoked", "evoked_sem"]


def test_measures_of_a_layer_are_those_of_their_definitions(tmp_path, units, scores):
    table = measure(tmp_path / "x.zarr", {"response": (SPATIAL, units)}, scores)
    r = units.astype(np.float64)
    assert measures_of(table) == ["mean", "std", "sem", "spatial_variance", "feature_variance", *EVOKED]
    np.testing.assert_allclose(values(table, "V1", "mean"), r.mean(axis=(0, 2, 3, 4)))
    np.testing.assert_allclose(values(table, "V1", "std"), r.std(axis=(0, 2, 3, 4)), rtol=1e-9)
    sem = r.mean(axis=(2, 3, 4)).std(axis=0, ddof=1) / np.sqrt(N)
    np.testing.assert_allclose(values(table, "V1", "sem"), sem, rtol=1e-6)
    np.testing.assert_allclose(values(table, "V1", "spatial_variance"), r.var(axis=(3, 4)).mean(axis=(0, 2)))
    np.testing.assert_allclose(values(table, "V1", "feature_variance"), r.mean(axis=(3, 4)).var(axis=2).mean(axis=0))


def test_peak_is_the_highest_mean_response(tmp_path, units, scores):
    store = write_store(tmp_path / "x.zarr", {"V1": {"response": (SPATIAL, units)}}, scores, LABELS, CLASSES)
    _, numbers, _ = measure_condition(store, Readout(), SHOW)
    assert numbers["peak/V1"] == pytest.approx(units.mean(axis=(0, 2, 3, 4), dtype=np.float64).max())


def test_every_resolution_gives_the_same_measures(tmp_path, units, scores):
    r = units.astype(np.float64)
    spatial_mean = r.mean(axis=(3, 4))
    channel = {"mean": (CHANNEL, spatial_mean), "std": (CHANNEL, r.std(axis=(3, 4)))}
    layer = {
        "mean": (WHOLE, r.mean(axis=(2, 3, 4))),
        "std": (WHOLE, r.std(axis=(2, 3, 4))),
        "feature_std": (WHOLE, spatial_mean.std(axis=2)),
    }
    tokens = units.reshape(N, T, 4, 15)
    whole = measure(tmp_path / "unit.zarr", {"response": (SPATIAL, r)}, scores)
    for name, variables in {"channel": channel, "layer": layer, "token": {"response": (TOKEN, tokens)}}.items():
        measured = measure(tmp_path / f"{name}.zarr", variables, scores)
        pd.testing.assert_frame_equal(whole, measured, rtol=1e-7, obj=name)


def test_what_a_resolution_cannot_give_is_left_out(tmp_path, units, scores):
    flat = units[:, :, :, 0, 0]
    without_space = measure(tmp_path / "a.zarr", {"response": (CHANNEL, flat)}, scores)
    assert measures_of(without_space) == ["mean", "std", "sem", "feature_variance", *EVOKED]
    np.testing.assert_allclose(
        values(without_space, "V1", "feature_variance"), flat.var(axis=2).mean(axis=0), rtol=1e-5
    )
    subset = measure(tmp_path / "b.zarr", {"response": (UNIT, units.reshape(N, T, -1)[:, :, ::7])}, scores)
    assert measures_of(subset) == ["mean", "std", "sem", *EVOKED]
    old = measure(tmp_path / "c.zarr", {"mean": (WHOLE, flat[..., 0]), "std": (WHOLE, flat[..., 1])}, scores)
    assert measures_of(old) == ["mean", "std", "sem", *EVOKED]


def test_half_precision_sums_do_not_overflow(tmp_path, scores):
    large = np.full((N, T, 4, 5, 3), 60000, dtype=np.float16)
    table = measure(tmp_path / "x.zarr", {"response": (SPATIAL, large)}, scores)
    np.testing.assert_allclose(values(table, "V1", "mean"), float(np.float16(60000)))
    np.testing.assert_allclose(values(table, "V1", "std"), 0, atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_response_that_is_not_finite_makes_its_step_nan_and_no_other(tmp_path, units, scores, bad):
    units[2, 3, 1, 0, 0] = bad
    scores[1, 5, 0] = bad
    store = write_store(tmp_path / "x.zarr", {"V1": {"response": (SPATIAL, units)}}, scores, LABELS, CLASSES)
    table, numbers, _ = measure_condition(store, Readout(window=(0, 3)), SHOW)
    for name in measures_of(table):
        if name == "rest":
            continue
        assert np.flatnonzero(np.isnan(values(table, "V1", name))).tolist() == [3], name
    for name in ("accuracy", "guess_confidence", "first_label_confidence"):
        assert np.flatnonzero(np.isnan(values(table, "output", name))).tolist() == [5], name
    assert np.isfinite(numbers["accuracy"])
    assert np.isnan(numbers["peak/V1"])
    assert np.isnan(measure_condition(store, Readout(window=(4, 6)), SHOW)[1]["accuracy"])


# Reading block by block


@pytest.mark.parametrize("block", [1, 500, 5000])
def test_numbers_do_not_depend_on_the_blocks_bit_for_bit(tmp_path, units, scores, monkeypatch, block):
    whole = measure(tmp_path / "x.zarr", {"response": (SPATIAL, units)}, scores)
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block)
    store = tmp_path / "y.zarr"
    write_store(store, {"V1": {"response": (SPATIAL, units)}}, scores, LABELS, CLASSES, rows=1 + block % 3)
    pd.testing.assert_frame_equal(measure_condition(store, Readout(), SHOW)[0], whole, check_exact=True)


def peak_memory(folder: Path, samples: int) -> float:
    rng = np.random.default_rng(0)
    response = rng.random((samples, T, 8, 16, 16), dtype=np.float32)
    scores = rng.random((samples, T, 3), dtype=np.float32)
    labels = np.resize(LABELS, samples)
    store = write_store(folder, {"V1": {"response": (SPATIAL, response)}}, scores, labels, CLASSES, rows=50)
    del response
    measure_condition(store, Readout(), SHOW)  # what is imported and cached once
    tracemalloc.start()
    try:
        measure_condition(store, Readout(), SHOW)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 1 << 20)
    few, many = peak_memory(tmp_path / "few.zarr", 200), peak_memory(tmp_path / "many.zarr", 1600)
    # The store grows by 88 MiB; what varies from run to run is how many threads decode a chunk of 3 MiB at a time.
    assert many - few < 8 << 20, f"{few / 2**20:.1f} MiB for 200 samples, {many / 2**20:.1f} MiB for 1600"


# The output


def test_accuracy_is_that_of_the_stated_readout(tmp_path, units, scores):
    store = write_store(tmp_path / "x.zarr", {"V1": {"response": (SPATIAL, units)}}, scores, LABELS, CLASSES)
    forced = np.asarray(CLASSES)[scores[:, :, :2].argmax(axis=2)] == LABELS[:, None]
    free = np.asarray(CLASSES)[scores.argmax(axis=2)] == LABELS[:, None]
    table, late, _ = measure_condition(store, Readout(), SHOW)
    np.testing.assert_allclose(values(table, "output", "accuracy"), forced.mean(axis=0))
    assert late["accuracy"] == pytest.approx(forced[:, 3:5].mean())
    assert late["chance"] == 0.5
    _, whole, _ = measure_condition(store, Readout(window="all", reduce="max", choices="all"), SHOW)
    assert whole["accuracy"] == pytest.approx(free.any(axis=1).mean())
    assert whole["chance"] == pytest.approx(1 / 3)
    trials = forced[:, 3:5].mean(axis=1)
    assert late["accuracy_sem"] == pytest.approx(trials.std(ddof=1) / np.sqrt(N))
    assert late["samples"] == N
    over_time, numbers = score_responses(open_store(store).to_dataset(), Readout(), SHOW)
    np.testing.assert_array_equal(over_time, forced.mean(axis=0))
    assert numbers == {key: late[key] for key in ("accuracy", "accuracy_sem", "accuracy_samples", "chance", "samples")}


def test_confidences_are_softmax_over_the_choices(tmp_path, units, scores):
    store = write_store(tmp_path / "x.zarr", {"V1": {"response": (SPATIAL, units)}}, scores, LABELS, CLASSES)
    for readout, outputs in ((Readout(), [0, 1]), (Readout(choices="all"), [0, 1, 2])):
        p = scipy.special.softmax(scores[:, :, outputs].astype(np.float64), axis=2)
        own = np.where(LABELS[:, None] == 3, p[:, :, 0], p[:, :, 1]).mean(axis=0)
        table, _, _ = measure_condition(store, readout, SHOW)
        np.testing.assert_allclose(values(table, "output", "guess_confidence"), p.max(axis=2).mean(axis=0))
        np.testing.assert_allclose(values(table, "output", "first_label_confidence"), own)
        shown = np.where(SHOW.frames >= 0, own, np.nan)
        np.testing.assert_allclose(values(table, "output", "label_confidence"), shown)
    assert "top5" not in measures_of(table, "output")


def test_of_several_images_the_label_is_that_of_the_one_on_the_screen(tmp_path, units, scores):
    show = Presentation.from_program([{"void": 1}, {"image": 3}, {"image": 3, "which": "next"}], T)
    pairs = np.stack([LABELS, LABELS[::-1]], axis=1)
    layers = {"V1": {"response": (SPATIAL, units)}}
    store = write_store(tmp_path / "x.zarr", layers, scores, LABELS, CLASSES, image_labels=pairs)
    p = scipy.special.softmax(scores[:, :, :2].astype(np.float64), axis=2)
    first, second = (np.where(pairs[:, [k]] == 3, p[:, :, 0], p[:, :, 1]).mean(axis=0) for k in (0, 1))
    table, _, _ = measure_condition(store, Readout(image=1), show)
    wanted = np.concatenate([[np.nan], first[1:4], second[4:7], [np.nan]])
    np.testing.assert_allclose(values(table, "output", "label_confidence"), wanted)
    np.testing.assert_allclose(values(table, "output", "first_label_confidence"), first)
    accuracy = (np.asarray(CLASSES)[scores[:, :, :2].argmax(axis=2)] == pairs[:, [1]]).mean(axis=0)
    np.testing.assert_allclose(values(table, "output", "accuracy"), accuracy)


def test_top5_is_the_share_of_labels_among_the_five_highest(tmp_path, units):
    scores = np.random.default_rng(2).integers(0, 4, (N, T, 8)).astype(np.float32)  # with ties
    classes = [11, 3, 7, 5, 2, 1, 9, 8]
    layers = {"V1": {"response": (SPATIAL, units)}}
    store = write_store(tmp_path / "x.zarr", layers, scores, LABELS, classes)
    table, _, _ = measure_condition(store, Readout(choices="all"), SHOW)
    order = np.argsort(-scores, axis=2, kind="stable")[:, :, :5]
    wanted = (np.asarray(classes)[order] == LABELS[:, None, None]).any(axis=2).mean(axis=0)
    np.testing.assert_allclose(values(table, "output", "top5"), wanted)
    assert (values(table, "output", "top5") >= values(table, "output", "accuracy")).all()


def test_a_class_that_the_network_does_not_know_is_never_right_and_has_no_confidence(tmp_path, units, scores):
    labels = np.array([3, 4, 3, 4, 3, 4])
    layers = {"V1": {"response": (SPATIAL, units)}}
    store = write_store(tmp_path / "x.zarr", layers, scores, labels, CLASSES)
    table, numbers, _ = measure_condition(store, Readout(choices="all"), SHOW)
    known = scipy.special.softmax(scores.astype(np.float64), axis=2)[::2, :, 0].sum(axis=0) / N
    np.testing.assert_allclose(values(table, "output", "first_label_confidence"), known)
    assert numbers["accuracy"] <= 0.5


# Tables


def test_table_is_tidy_and_has_a_column_for_each_parameter(tmp_path, units, scores):
    store = write_store(tmp_path / "x.zarr", {"V1": {"response": (SPATIAL, units)}}, scores, LABELS, CLASSES)
    conditions = [({"contrast": level, "duration": "4"}, store, SHOW) for level in ("0.1", "1.0")]
    table, tuning, _ = measure_tuning(conditions, Readout())
    assert list(table.columns) == ["condition", "contrast", "duration", "time", "layer", "measure", "value"]
    assert table["condition"].unique().tolist() == ["contrast=0.1,duration=4", "contrast=1.0,duration=4"]
    assert len(table) == 2 * T * (4 + 8)
    assert not table.duplicated(["condition", "time", "layer", "measure"]).any()
    assert tuning["contrast"].tolist() == [0.1, 1.0]
    assert tuning["duration"].tolist() == [4, 4]
    assert np.isfinite(tuning["accuracy"]).all()


@pytest.mark.parametrize("dt", [None, 2.5])
def test_step_duration_is_read_from_the_store(tmp_path, units, scores, dt):
    layers = {"V1": {"response": (SPATIAL, units)}}
    store = write_store(tmp_path / "x.zarr", layers, scores, LABELS, CLASSES, dt=dt)
    assert read_step_duration(open_store(store).to_dataset()) == dt


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
