from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dynvision.errors import DataError, DynvisionError
from dynvision.experiments.stores.store import verify_store
from dynvision.experiments.stores.writer import StoreWriter
from dynvision.experiments.writing import OUTPUT_ARRAYS, SweepWriter, describe_output, is_finite
from tests.helpers.stores import layout_of, open_writer

CLASSES = np.array([6, 7, 14])
small = hnp.arrays(np.float32, (2, 3, 3), elements=st.floats(-5, 5, width=16))


@given(small)
def test_rank_is_the_position_in_the_order_of_scores(scores):
    labels = np.array([14, 99])
    told = describe_output(scores, labels, CLASSES)
    order = np.argsort(-scores, axis=2, kind="stable")
    np.testing.assert_array_equal(told["rank"][0], np.argwhere(order[0] == 2)[:, 1])
    assert (told["rank"][1] == -1).all()
    np.testing.assert_array_equal(told["predicted"], CLASSES[order[:, :, 0]])
    assert ((told["rank"][0] == 0) == (told["predicted"][0] == 14)).all()


@given(small)
def test_confidence_is_the_softmax_probability_of_the_prediction(scores):
    told = describe_output(scores, np.array([6, 7]), CLASSES)
    np.testing.assert_allclose(told["confidence"], scipy.special.softmax(scores, axis=2).max(axis=2), rtol=1e-5)


def test_scores_that_are_not_finite_have_no_rank_and_no_prediction():
    scores = np.zeros((2, 3, 3), np.float32)
    scores[0, 1, 2] = np.nan
    scores[1, 2, 0] = np.inf
    told = describe_output(scores, np.array([6, 7]), CLASSES)
    unknown = np.array([[False, True, False], [False, False, True]])
    for name in ("rank", "predicted"):
        assert ((told[name] == -2) == unknown).all()
    assert (np.isnan(told["confidence"]) == unknown).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("value", "finite"), [(1.0, True), (np.nan, False), (np.inf, False), (-np.inf, False)])
def test_what_is_not_finite_is_found(dtype, value, finite):
    values = np.ones((3, 4), dtype=dtype)
    values[2, 1] = value
    assert is_finite(values) == finite
    assert is_finite(values[:, ::2])


RUNS = ({"rest": 0}, {"rest": 0, "single": 1})
"""The runs that the two conditions are compared with."""


def open_sweep(folder: Path, count: int = 2, **settings) -> tuple[SweepWriter, list[StoreWriter]]:
    arrays = {"V1/mean": np.zeros((5, 4, 2), np.float32), "scores": np.zeros((5, 4, 3), np.float32)}
    layout = layout_of(arrays, 3, 2)
    layout.arrays.update(OUTPUT_ARRAYS)
    layouts = [layout.compared_with(list(RUNS[n])) for n in range(count)]
    writers = [open_writer(folder / f"{n}.zarr", layouts[n]) for n in range(count)]
    names = [f"x:contrast={n}" for n in range(count)]
    return SweepWriter(writers, names, CLASSES.tolist(), settings.get("allow_nonfinite", False), RUNS[:count]), writers


def show_batch(sweep: SweepWriter, batch: int, rows: int, spoil: float | None = None) -> None:
    rng = np.random.default_rng(batch)
    sweep.begin_batch(batch, np.arange(rows) + 3 * batch, np.full(rows, 7))
    for start in (0, 2):
        block = {
            "V1/mean": rng.random((rows, 2, 2), dtype=np.float32),
            "scores": rng.random((rows, 2, 3), dtype=np.float32),
            "average V1": np.ones((rows, 2), np.float32),
        }
        if spoil is not None and start == 2:
            block["V1/mean"][1, 1, 0] = spoil
        sweep.take((0, 1), start, block)
        for run in (0, 1):
            sweep.take((2 + run,), start, {"average V1": np.full((rows, 2), 0.5 + run, np.float32)})
    sweep.end_batch(10 + batch)


def test_blocks_are_written_to_every_condition_that_shares_them(tmp_path):
    sweep, writers = open_sweep(tmp_path)
    show_batch(sweep, 0, 3)
    show_batch(sweep, 1, 2)
    sweep.flush()
    assert writers[1].digests.items() >= writers[0].digests.items()
    assert {*writers[1].digests} - {*writers[0].digests} == {"single/V1"}
    np.testing.assert_array_equal(writers[1].averages["single/V1"], np.full(4, 1.5))
    for writer in writers:
        assert writer.batches_done == 2
        np.testing.assert_array_equal(writer.averages["V1"], np.ones(4))
        np.testing.assert_array_equal(writer.averages["rest/V1"], np.full(4, 0.5))
        assert writer.steps_computed == 11
        writer.finish({})
        verify_store(writer.folder)


def test_batch_is_in_the_journal_only_when_it_is_written(tmp_path):
    sweep, writers = open_sweep(tmp_path)
    show_batch(sweep, 0, 3)
    assert writers[0].batches_done == 0
    show_batch(sweep, 1, 2)
    assert writers[0].batches_done == 1
    sweep.flush()
    assert writers[0].batches_done == 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_response_that_is_not_finite_names_layer_sample_step_and_condition(tmp_path, wrong):
    sweep, _ = open_sweep(tmp_path)
    show_batch(sweep, 0, 3)
    expected = r"the response of 'V1' is not finite at sample 4, recorded step 3, in x:contrast=0, x:contrast=1"
    with pytest.raises(DataError, match=expected):
        show_batch(sweep, 1, 2, wrong)


def test_response_that_is_not_finite_is_recorded_if_that_is_allowed(tmp_path):
    sweep, writers = open_sweep(tmp_path, allow_nonfinite=True)
    show_batch(sweep, 0, 3, np.nan)
    show_batch(sweep, 1, 2)
    sweep.flush()
    writers[0].finish({}, allow_nonfinite=True)
    verify_store(writers[0].folder)


def test_full_disk_is_an_error_that_says_what_is_kept(tmp_path):
    sweep, writers = open_sweep(tmp_path)
    show_batch(sweep, 0, 3)
    sweep.flush()
    chunks = writers[0].folder / "V1/mean/c/1"
    chunks.write_text("in the way of the next batch")
    show_batch(sweep, 1, 2)
    with pytest.raises(DynvisionError, match=r"could not be written .*What is written is kept: make room"):
        sweep.flush()
    assert writers[0].batches_done == 1
