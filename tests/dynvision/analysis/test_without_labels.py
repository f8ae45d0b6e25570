"""Responses whose labels have nothing to do with the network's classes: no accuracy, and everything else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from dynvision.analysis.figures.comparison import compare_subjects, draw_comparison
from dynvision.analysis.figures.condition import draw_condition
from dynvision.analysis.figures.summary import draw_figures
from dynvision.analysis.measures import find_unanswered, measure_condition, score_responses
from dynvision.analysis.phenomena import Tables, list_phenomena
from dynvision.analysis.sweeps.experiment import analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.experiments.reading import open_store
from dynvision.stimuli.presentation import Presentation
from tests.helpers.stores import WHOLE, write_store

N, T = 9, 8
SHOW = Presentation.duration(T, 4, 1)
NONE = {"labels_match": "none"}
LABELS = np.arange(N) % 3
SCORES = np.random.default_rng(1).normal(size=(N, T, 4)).astype(np.float32)


def write(path, scale: float = 1.0, attributes=NONE):
    means = scale * np.random.default_rng(0).random((N, T))
    layer = {"V1": {"mean": (WHOLE, means), "std": (WHOLE, np.zeros((N, T)))}}
    return write_store(path, layer, SCORES, LABELS, [0, 1, 2, 3], attributes=attributes)


def sweep(folder, *parameters: str, attributes=NONE):
    folder.mkdir()
    levels = [dict(zip(parameters, (str(a), str(b)), strict=False)) for a in (0.2, 0.5, 1.0) for b in (2, 4)]
    conditions = [dict(pairs) for pairs in dict.fromkeys(tuple(level.items()) for level in levels)]
    stores = [(c, write(folder / f"{n}.zarr", 1.0 + n, attributes), SHOW) for n, c in enumerate(conditions)]
    return analyse_experiment(stores, Readout())


def test_there_is_no_accuracy_and_no_chance(tmp_path):
    store = write(tmp_path / "x.zarr")
    table, numbers, _ = measure_condition(store, Readout(), SHOW)
    assert not {"accuracy", "accuracy_sem", "chance"} & numbers.keys()
    assert numbers["samples"] == N
    assert set(table[table["layer"] == "output"]["measure"]) == {"guess_confidence"}
    assert {"mean", "evoked", "rest"} <= set(table[table["layer"] == "V1"]["measure"])
    assert score_responses(open_store(store).to_dataset(), Readout(), SHOW) == (None, {"samples": N})


def test_confidence_is_that_among_all_outputs(tmp_path):
    table, _, _ = measure_condition(write(tmp_path / "x.zarr"), Readout(), SHOW)
    shares = np.exp(SCORES) / np.exp(SCORES).sum(axis=2, keepdims=True)
    values = table[table["layer"] == "output"]["value"].to_numpy()
    np.testing.assert_allclose(values, shares.max(axis=2).mean(axis=0), rtol=1e-5)


def test_labels_that_match_by_name_are_read_as_the_networks_classes(tmp_path):
    attributes = {"labels_match": "name", "classes_by_label": json.dumps({"0": 3, "2": 1})}
    _, numbers, _ = measure_condition(write(tmp_path / "x.zarr", attributes=attributes), Readout(window="all"), SHOW)
    target = np.array([3, -1, 1])[LABELS]
    answers = np.array([1, 3])[SCORES[:, :, [1, 3]].argmax(axis=2)]
    assert numbers["accuracy"] == pytest.approx((answers == target[:, None]).mean())
    assert numbers["chance"] == pytest.approx(2 / 3 / 2)


def test_images_without_a_label_are_left_out_of_the_accuracy(tmp_path):
    labels = np.array([0, -1, 1, 2, -1, -1, 0, 1, 2])
    layer = {"V1": {"mean": (WHOLE, np.ones((N, T))), "std": (WHOLE, np.zeros((N, T)))}}
    store = write_store(
        tmp_path / "x.zarr", layer, SCORES, labels, [0, 1, 2, 3], attributes={"group_classes": [0, 1, 2]}
    )
    _, numbers, _ = measure_condition(store, Readout(window="all"), SHOW)
    known = labels >= 0
    answers = SCORES[known][:, :, :3].argmax(axis=2)
    assert numbers["accuracy"] == pytest.approx((answers == labels[known][:, None]).mean())
    assert (numbers["samples"], numbers["accuracy_samples"], numbers["chance"]) == (N, 6, pytest.approx(1 / 3))


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [("contrast",), ("ssnr",), ("contrast", "duration"), ("size",)])
def test_every_figure_is_drawn_without_an_accuracy(tmp_path, parameters):
    result = sweep(tmp_path / "s", *parameters)
    assert not result.has_accuracy
    assert find_unanswered(result.table, result.tuning) == []
    assert "output" not in set(result.fits["layer"])
    for figure in draw_figures(result).values():
        texts = [axes.get_title() + axes.get_ylabel() for axes in figure.axes]
        assert not any("accuracy" in text for text in texts)
        figure.canvas.draw()


def test_a_condition_is_drawn_without_an_accuracy():
    one, two = (draw_condition({"V1": [0.0] * T}, accuracy, "x", SHOW) for accuracy in (None, [0.5] * T))
    assert two.width == 2 * one.width


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [("contrast",), ("contrast", "duration")])
@pytest.mark.parametrize("known", [0, 1])
def test_subjects_are_compared_whether_or_not_they_have_an_accuracy(tmp_path, parameters, known):
    results = {
        name: sweep(tmp_path / name, *parameters, attributes={} if number < known else NONE)
        for number, name in enumerate(("first", "second"))
    }
    compared = compare_subjects(
        {name: r.tuning for name, r in results.items()},
        {name: r.fits for name, r in results.items()},
        parameters,
        results["first"].presentations,
    )
    assert compared.has_accuracy == bool(known)
    if known:
        assert compared.tuning.set_index("subject").loc["second", "accuracy"].isna().all()
    draw_comparison(compared, parameters).canvas.draw()


def test_phenomena_of_accuracy_are_left_out(tmp_path):
    result = sweep(tmp_path / "s", "contrast")
    tables = Tables(("contrast",), result.tuning, result.fits, result.courses)
    listed = list_phenomena({"contrast": tables, "stability": tables})
    assert isinstance(listed, pd.DataFrame)
    assert "contrast response" in set(listed["phenomenon"])
    assert not {"accuracy", "long presentations"} & set(listed["phenomenon"])
