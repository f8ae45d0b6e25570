"""Responses by the value of a column about the images."""

from __future__ import annotations

import numpy as np
import pytest

from dynvision.analysis.groups import measure_groups
from dynvision.errors import UnknownNameError
from dynvision.stimuli.presentation import Presentation
from tests.helpers.stores import WHOLE, write_store

N, T = 6, 8
SHOW = Presentation.duration(T, 4, 1)
RNG = np.random.default_rng(0)
MEANS = RNG.random((N, T))
REST = 0.1 * RNG.random((N, T))
COLUMNS = {
    "stimulus_id": np.array([f"s{n}" for n in range(N)], dtype=object),
    "category": np.array(["house", "face", "face", "", "house", "face"], dtype=object),
    "session": np.array([1, 2, 2, 1, 1, 2]),
}


def write(tmp_path, columns=None):
    layer = {"V1": {"mean": (WHOLE, MEANS), "std": (WHOLE, np.zeros((N, T)))}}
    scores = np.zeros((N, T, 2), dtype=np.float32)
    path = tmp_path / "x.zarr"
    write_store(path, layer, scores, np.zeros(N, int), [0, 1], references={"rest": {"V1": REST}}, columns=columns)
    return [({"contrast": "0.5"}, path, SHOW)]


def test_each_value_has_the_peak_of_its_own_images(tmp_path):
    table = measure_groups(write(tmp_path, COLUMNS), "category", "e/s")
    assert table["value"].tolist() == ["face", "house"]
    assert table["n"].tolist() == [3, 2]
    assert list(table.columns) == ["column", "value", "condition", "contrast", "layer", "response", "sem", "n"]
    assert set(table["contrast"]) == {0.5}
    evoked = (MEANS - REST)[[1, 2, 5]]
    course = evoked.mean(axis=0)[1:]
    step = int(course.argmax())
    assert table["response"][0] == pytest.approx(course[step])
    assert table["sem"][0] == pytest.approx(evoked[:, 1 + step].std(ddof=1) / np.sqrt(3))


def test_numbers_stay_numbers(tmp_path):
    assert measure_groups(write(tmp_path, COLUMNS), "session", "e/s")["value"].tolist() == [1, 2]


def test_images_without_a_table_have_no_rows_unless_by_their_label(tmp_path):
    stores = write(tmp_path)
    assert measure_groups(stores, "category", "e/s").empty
    assert measure_groups(stores, "label", "e/s")["n"].tolist() == [N]


def test_column_that_is_not_in_the_table_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match=r"'categry'\. Did you mean 'category'"):
        measure_groups(write(tmp_path, COLUMNS), "categry", "e/s")
