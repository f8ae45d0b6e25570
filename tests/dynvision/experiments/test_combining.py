from __future__ import annotations

import numpy as np

from dynvision.experiments.reading import combine_conditions
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import count_time
from tests.helpers.stores import CHANNEL, write_store

N, T = 3, 8


def test_conditions_with_different_onsets_are_aligned_at_the_onset(tmp_path):
    """Time is 0 at the onset, so a sweep of the intro has the responses to the same moment at the same time."""
    stores = []
    for intro in (1, 4):
        time = count_time(Presentation.duration(T, 3, intro))
        values = np.broadcast_to(10.0 * time[None, :, None], (N, T, 2)).astype(np.float32)
        path = write_store(
            tmp_path / f"intro={intro}.zarr",
            {"V1": {"response": (CHANNEL, values)}},
            np.zeros((N, T, 2), np.float32),
            np.array([0, 1, 0]),
            [0, 1],
            dt=5.0,
            time=time,
        )
        stores.append(({"intro": intro}, path))
    tree = combine_conditions(stores, {"intro": [1, 4]})
    response = tree["V1"]["response"]
    assert response.sizes["time"] == T + 3
    np.testing.assert_array_equal(response["time"], np.arange(-3, 8))
    np.testing.assert_array_equal(tree["V1"]["time_ms"], 5.0 * response["time"])
    for time in (0, 2, 4):
        np.testing.assert_array_equal(response.sel(time=time), 10.0 * time)
    assert np.isnan(response.sel(intro=1, time=-3)).all()
    assert np.isnan(response.sel(intro=4, time=7)).all()
    assert tree["step"].dims == ("intro", "time")
    assert tree["step"].sel(time=1).values.tolist() == [1, 4]
    assert "step" not in tree["V1"].coords
