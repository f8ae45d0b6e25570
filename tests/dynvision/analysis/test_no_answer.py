"""Networks whose scores name no class, at some steps or at all: ties in every trial."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dynvision.analysis import streaming
from dynvision.analysis.measures import find_unanswered, measure_condition, measure_tuning
from dynvision.analysis.sweeps.noise import ACCURACY
from dynvision.config.sections.experiments import Readout
from dynvision.stimuli.presentation import Presentation
from tests.helpers.stores import CHANNEL, write_store

pytestmark = pytest.mark.slow

N, T = 6, 8
SHOW = Presentation.duration(T, 4, 1)
LABELS = np.array([3, 7, 3, 7, 3, 7])
CLASSES = [3, 7, 5]


@pytest.fixture
def layers() -> dict:
    return {"V1": {"response": (CHANNEL, np.random.default_rng(0).random((N, T, 2), dtype=np.float32))}}


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N, T, 3)).astype(np.float32)


def values(table: pd.DataFrame, measure: str) -> np.ndarray:
    return table[(table["layer"] == "output") & (table["measure"] == measure)]["value"].to_numpy()


def test_a_network_that_names_no_class_has_no_accuracy(tmp_path, layers):
    flat = np.full((N, T, 3), 0.25, dtype=np.float32)
    store = write_store(tmp_path / "x.zarr", layers, flat, LABELS, CLASSES)
    table, numbers, _ = measure_condition(store, Readout(), SHOW)
    assert np.isnan(values(table, "accuracy")).all()
    assert np.isnan([numbers["accuracy"], numbers["accuracy_sem"]]).all()
    assert (numbers["chance"], numbers["samples"]) == (0.5, N)
    np.testing.assert_allclose(values(table, "guess_confidence"), 0.5)
    table, tuning, _ = measure_tuning([({"contrast": "0.5"}, store, SHOW)], Readout())
    assert find_unanswered(table, tuning) == ["contrast=0.5"]


@pytest.mark.parametrize("block", [1, 5000])
def test_steps_at_which_some_trial_is_decided_count_ties_as_before(tmp_path, layers, scores, monkeypatch, block):
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block)
    scores[:, :3] = 0  # silent until step 3
    scores[1:, 3] = 0  # one trial alone decides at step 3
    store = write_store(tmp_path / "x.zarr", layers, scores, LABELS, CLASSES, rows=2)
    right = np.asarray(CLASSES)[scores[:, :, :2].argmax(axis=2)] == LABELS[:, None]
    table, numbers, _ = measure_condition(store, Readout(window=(1, 5)), SHOW)
    over_time = values(table, "accuracy")
    assert np.isnan(over_time[:3]).all()
    np.testing.assert_allclose(over_time[3:], right.mean(axis=0)[3:])
    assert numbers["accuracy"] == pytest.approx(right[:, 1:5].mean())
    _, last, _ = measure_condition(store, Readout(window=(0, 3), reduce="last"), SHOW)
    assert np.isnan(last["accuracy"])


def test_a_single_choice_is_no_tie_and_scores_that_are_not_finite_are_no_answer(tmp_path, layers, scores):
    alone = write_store(tmp_path / "x.zarr", layers, scores, np.full(N, 3), CLASSES)
    assert measure_condition(alone, Readout(), SHOW)[1]["accuracy"] == 1.0
    scores[:] = np.nan
    damaged = write_store(tmp_path / "y.zarr", layers, scores, LABELS, CLASSES)
    table, tuning, _ = measure_tuning([({"contrast": "0.5"}, damaged, SHOW)], Readout())
    assert np.isnan(tuning["accuracy"]).all()
    assert find_unanswered(table, tuning) == []


def test_psychometric_function_is_refused_without_an_accuracy():
    levels = np.array([0.1, 0.2, 0.4, 0.8, 1.0])
    rows = pd.DataFrame({"accuracy_samples": [8] * 5, "chance": [0.5] * 5})
    fit = ACCURACY.fit(levels, np.full(5, np.nan), rows)
    assert not fit.parameters
    assert fit.note == "not fitted: no condition has an accuracy: all scores are the same, or are not finite"
